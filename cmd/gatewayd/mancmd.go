package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newMan writes the manual page; packages are built with it.
func newMan(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:    "man",
		Short:  "Print the manual page gatewayd(1), made of the commands' help",
		Args:   exactly(0, ""),
		Hidden: true,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w := bufio.NewWriter(std.out)
		writeMan(w, cmd.Root())
		return w.Flush()
	}
	return cmd
}

// writeMan writes one page for all commands, in man(7)'s language.
func writeMan(w io.Writer, root *cobra.Command) {
	fmt.Fprintf(w, ".TH GATEWAYD 1 \"\" \"gatewayd\" \"User Commands\"\n.SH NAME\ngatewayd \\- %s\n", roff(strings.ToLower(root.Short[:1])+root.Short[1:]))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B gatewayd\n.I COMMAND\n[\\fIFLAGS\\fR]\n.SH DESCRIPTION\n")
	manText(w, root.Long)
	fmt.Fprintf(w, ".SH COMMANDS\n")
	manCommands(w, root)
	fmt.Fprint(w, `.SH FILES
.TP
.I /etc/gatewayd/gatewayd.toml
the configuration; \fBgatewayd config print\fR writes a complete one with the meaning of each key
.TP
.I /var/lib/gatewayd
devices, sessions, counters and API keys
.TP
.I /usr/lib/gatewayd/firmware
the vendor's firmware for the concentrator; \fI/usr/lib/gatewayd/fetch-firmware\fR fills it
.SH ENVIRONMENT
.TP
.B NO_COLOR
no colours, also on a terminal
.TP
.BR NOTIFY_SOCKET ", " WATCHDOG_USEC
set by systemd, which is told when the daemon is ready, and that it lives
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1)
`)
}

// manCommands writes a part for each command that does something.
func manCommands(w io.Writer, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if c.HasSubCommands() {
			manCommands(w, c)
			continue
		}
		fmt.Fprintf(w, ".SS %s\n", roff(strings.TrimSuffix(c.UseLine(), " [flags]")))
		text := c.Long
		if text == "" {
			text = c.Short + "."
		}
		manText(w, text)
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" || f.Hidden {
				return
			}
			name, usage := pflag.UnquoteUsage(f)
			short := ""
			if f.Shorthand != "" {
				short = "\\fB\\-" + f.Shorthand + "\\fR, "
			}
			fmt.Fprintf(w, ".TP\n%s\\fB\\-\\-%s\\fR", short, roff(f.Name))
			if name != "" {
				fmt.Fprintf(w, " \\fI%s\\fR", roff(name))
			}
			fmt.Fprintf(w, "\n%s\n", roff(usage))
		})
	}
}

// manText writes paragraphs; lines that begin with blanks stay as they are.
func manText(w io.Writer, text string) {
	verbatim := false
	for line := range strings.SplitSeq(text, "\n") {
		if v := strings.HasPrefix(line, " "); v != verbatim {
			fmt.Fprintln(w, map[bool]string{true: ".nf", false: ".fi"}[v])
			verbatim = v
		}
		if line == "" {
			line = ".PP"
		} else {
			line = roff(line)
		}
		fmt.Fprintln(w, line)
	}
	if verbatim {
		fmt.Fprintln(w, ".fi")
	}
}

// roff makes a text safe for the formatter.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "°", `\(de`, "µ", `\(mc`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
