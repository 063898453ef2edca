package reports

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"time"
)

// The elements of junit.xml that CI systems agree on.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr,omitempty"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
		SystemOut  string          `xml:"system-out"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		ClassName string       `xml:"classname,attr"`
		Name      string       `xml:"name,attr"`
		Time      string       `xml:"time,attr"`
		Failure   *junitResult `xml:"failure"`
		Error     *junitResult `xml:"error"`
		Skipped   *junitResult `xml:"skipped"`
	}
	junitResult struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// appendJUnit appends junit.xml for a tidy run: a test case for each check. What failed is a failure, what
// cannot be trusted or was stopped is an error, what was not proven is skipped.
func appendJUnit(dst []byte, r *Run, v Verdict, checks []Check) ([]byte, error) {
	name := r.Scenario
	if name == "" {
		name = "scenario"
	}
	took := strconv.FormatFloat(r.length().Seconds(), 'f', 3, 64)
	s := junitSuite{Name: name, Tests: len(checks), Time: took, SystemOut: systemOut(r, v)}
	if !r.Start.IsZero() {
		s.Timestamp = r.Start.Format(time.RFC3339)
	}
	s.Properties = []junitProperty{{"verdict", v.Word}, {"seed", strconv.FormatUint(r.Seed, 10)}, {"redlane", r.Redlane}}
	for i := range checks {
		c := &checks[i]
		one := junitCase{ClassName: name + "." + c.Group, Name: c.Name, Time: "0"}
		switch result := (&junitResult{Type: c.Group, Message: c.reason(), Text: c.detail()}); c.State {
		case Passed:
		case NotProven:
			one.Skipped = &junitResult{Message: c.reason()}
			s.Skipped++
		case Failed:
			one.Failure = result
			s.Failures++
		case Invalid, Stopped:
			one.Error = result
			s.Errors++
		}
		s.Cases = append(s.Cases, one)
	}
	all := junitSuites{Name: "redlane", Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Skipped: s.Skipped, Time: took, Suites: []junitSuite{s}}
	b, err := xml.MarshalIndent(all, "", " ")
	if err != nil {
		return nil, err
	}
	dst = append(dst, xml.Header...)
	dst = append(dst, b...)
	return append(dst, '\n'), nil
}

// detail is everything known about c that its message may have left out.
func (c *Check) detail() string {
	s := words[c.State].word
	if c.Got != "" {
		s += "\ngot: " + c.Got
	}
	if c.Why != "" {
		s += "\nwhy: " + c.Why
	}
	return s
}

func systemOut(r *Run, v Verdict) string {
	s := fmt.Sprintf("%s: %s\nseed: %d\n", v.Word, v.Sentence, r.Seed)
	if r.Repeat != "" {
		s += "repeat: " + r.Repeat + "\n"
	}
	for i := range r.Ledgers {
		s += r.Ledgers[i].String() + "\n"
	}
	return s
}
