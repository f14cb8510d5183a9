package main

import (
	"strings"
	"testing"
)

func TestCommandLineKeepsItsLength(t *testing.T) {
	first := "console=tty1 root=PARTUUID=6777a7e0-02 init=/gokrazy/init ro\n" + strings.Repeat(" ", 96)
	text := []byte(first)
	// Many updates: each is tried, and either kept or not.
	for i := range 50 {
		part := 2 + i%2
		for _, trying := range []bool{true, false} {
			next, err := editCmdline(text, part, trying)
			if err != nil {
				t.Fatal(err)
			}
			if len(next) != len(first) {
				t.Fatalf("%d bytes of %d", len(next), len(first))
			}
			line, rest, _ := strings.Cut(string(next), "\n")
			if strings.TrimSpace(rest) != "" {
				t.Fatalf("after the line: %q", rest)
			}
			if strings.Count(line, "root=") != 1 || !strings.Contains(line, "root=PARTUUID=6777a7e0-0"+string(rune('0'+part))+" ") {
				t.Fatalf("slot %d: %q", part, line)
			}
			if strings.Count(line, "gokrazy.") != map[bool]int{true: 1}[trying] {
				t.Fatalf("trying %v: %q", trying, line)
			}
			// What gokrazy's library makes of it when it takes the trial.
			text = []byte(strings.Replace(string(next), tryOther, "gokrazy.switch_on_boot=1", 1))
			text = append(text, strings.Repeat(" ", len(first)-len(text))...)
		}
	}
}

func TestCommandLineRefused(t *testing.T) {
	for _, text := range []string{"", "console=tty1\n      ", "root=/dev/mmcblk0p2\n    ", "root=PARTUUID=6777a7e0-02\n"} {
		if _, err := editCmdline([]byte(text), 2, true); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
