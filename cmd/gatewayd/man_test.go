package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// The page is made of the commands, so that it can't forget one; the
// formatter finds nothing wrong with it.
func TestManualPageHasEveryCommandAndFlag(t *testing.T) {
	code, page, text := cli(t, "man")
	if code != exitOK {
		t.Fatal(text)
	}
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" && sub.IsAvailableCommand() {
				each(sub)
			}
		}
		if c.Runnable() && !c.HasSubCommands() && !strings.Contains(page, ".SS "+roff(c.CommandPath())) {
			t.Errorf("%s is missing", c.CommandPath())
		}
	}
	each(newRoot(streams{}))
	for _, w := range []string{`\-\-bundle\fR \fIFILE`, `\fB\-c\fR, \fB\-\-config`, "/var/lib/gatewayd", "Exit codes"} {
		if !strings.Contains(page, w) {
			t.Errorf("%q is missing", w)
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed: the page is not formatted")
	}
	cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z", "-K", "utf8")
	cmd.Stdin = strings.NewReader(page)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// What the package installs is what the shells get.
func TestCompletionsForEachShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, text := cli(t, "completion", shell); code != exitOK || !strings.Contains(out, "gatewayd") {
			t.Errorf("%s: exit code %d: %s", shell, code, text)
		}
	}
}
