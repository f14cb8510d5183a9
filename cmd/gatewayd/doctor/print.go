package doctor

import (
	"encoding/json"
	"fmt"
	"io"
)

// PrintCheck writes a step as text: one line if it is good, else what was
// expected, seen, and what to do.
func PrintCheck(w io.Writer, c Check) {
	fmt.Fprintf(w, "%-8s %-24s %s\n", c.Verdict, c.Step, c.Seen)
	if c.Verdict != Bad && c.Verdict != Note {
		return
	}
	fmt.Fprintf(w, "         %-24s expected: %s\n", "", c.Expected)
	fmt.Fprintf(w, "         %-24s next: %s\n", "", c.Next)
}

// PrintVerdict writes the last lines of a report.
func (r Report) PrintVerdict(w io.Writer) {
	count := map[Verdict]int{}
	for _, c := range r.Checks {
		count[c.Verdict]++
	}
	fmt.Fprintf(w, "\n%d ok, %d notes, %d bad, %d skipped\n", count[OK], count[Note], count[Bad], count[Skipped])
	switch r.Verdict {
	case Bad:
		fmt.Fprintf(w, "Verdict: this gateway doesn't work. Next: %s\n", r.Next)
	case Note:
		fmt.Fprintf(w, "Verdict: this gateway works; it could be better. Next: %s\n", r.Next)
	default:
		fmt.Fprintln(w, "Verdict: nothing wrong was found.")
	}
}

// Print writes the whole report as text.
func (r Report) Print(w io.Writer) {
	fmt.Fprintf(w, "gatewayd %s, board %s, region %s\n\n", r.Version, r.Board, r.Region)
	for _, c := range r.Checks {
		PrintCheck(w, c)
	}
	r.PrintVerdict(w)
}

// JSON writes the report for machines.
func (r Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
