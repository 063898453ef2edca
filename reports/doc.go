// Package reports turns the results of a run into a verdict and four files. It only reads results: it
// measures nothing, asks nobody and waits for nothing, so the same Run always gives the same bytes.
//
//	                  ┌─► Checks ─► Judge ─► verdict, exit code
//	scenario ─► Run ──┤
//	                  └─► Write ─► index.html  report.json  junit.xml  summary.md
//	                      Read  ◄────────────────┘  (the same Run, so the same page again)
//
// Invariants:
//   - A Run is plain data, and report.json is that data: every number on the page comes from it.
//   - The zero Run and any missing part render. What was not measured says so or is left out.
//   - The verdict is a pure function of the Run. Something that cannot be trusted, was stopped or was
//     never shown is never called a pass.
//   - index.html is one file: no script, nothing fetched, readable in print and without colour.
//   - Names in a Run may be hostile. They are cleaned once, in tidy, and escaped by each writer.
//
// The words of a scenario's verdict are PASS, FAILED, INVALID, STOPPED and NOT PROVEN. GO and NO-GO are
// kept for rehearsals, whose question is another one: not "did it hold" but "may the event take place".
package reports
