package lanes

import "fmt"

// A Rule says when a coloured request may be served by the baseline instead of its lane.
type Rule uint8

// The rules, in the words of the configuration. The zero Rule is Never: what nobody allowed is refused.
const (
	Never             Rule = iota // never
	Absent                        // absent: when the lane has no instance of the service
	AbsentOrUnhealthy             // absent_or_unhealthy: also when none of its instances is healthy
)

var ruleWords = [...]string{"never", "absent", "absent_or_unhealthy"}

// Rules lists the words a Rule can be written as.
func Rules() []string { return ruleWords[:] }

func (r Rule) String() string {
	if int(r) < len(ruleWords) {
		return ruleWords[r]
	}
	return "invalid"
}

// MarshalText is the inverse of UnmarshalText.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads one of the words of Rules.
func (r *Rule) UnmarshalText(text []byte) error {
	for i, word := range ruleWords {
		if string(text) == word {
			*r = Rule(i)
			return nil
		}
	}
	return fmt.Errorf("no lane rule %q (use never, absent or absent_or_unhealthy)", text)
}
