package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// role is what a virtual device of the demo plays. The zero value is the
// usual one of its number: see [cast].
type role struct {
	version, class string
	kind           string // "": it joins
}

// Other kinds of roles.
const (
	abpRole   = "-abp"   // activated by personalisation
	groupRole = "-group" // a multicast group of the devices of its class
)

// roles are those of --devices, as a flag: how many devices, or what they are.
type roles []role

// rolePattern is one part of --devices, e.g. 2x1.1A or C-group.
var rolePattern = regexp.MustCompile(`^(?:([0-9]{1,3})x)?(?:(1\.0|1\.1)?([ABC])(-abp)?|([BC])(-group))$`)

// Set implements pflag.Value.
func (r *roles) Set(text string) error {
	var out roles
	if n, err := strconv.Atoi(text); err == nil {
		if err = out.add(n, role{}); err == nil {
			*r = out
		}
		return err
	}
	for part := range strings.SplitSeq(text, ",") {
		m := rolePattern.FindStringSubmatch(strings.TrimSpace(part))
		if m == nil {
			return fmt.Errorf("%q is neither a number nor a list of [COUNTx][1.0|1.1]CLASS[-abp] and B-group or C-group, such as 2xA,1.0B,1.1C-abp,C-group", text)
		}
		n := 1
		if m[1] != "" {
			n, _ = strconv.Atoi(m[1]) // they are digits
		}
		if err := out.add(n, role{version: m[2], class: m[3] + m[5], kind: m[4] + m[6]}); err != nil {
			return err
		}
	}
	*r = out
	return nil
}

// add adds n devices.
func (r *roles) add(n int, what role) error {
	if n < 0 || n+len(*r) > mostDevices {
		return fmt.Errorf("allowed are 0 to %d devices", mostDevices)
	}
	for range n {
		*r = append(*r, what)
	}
	return nil
}

// String implements pflag.Value.
func (r *roles) String() string {
	var out []string
	usual := true
	for _, x := range *r {
		usual = usual && x == role{}
		out = append(out, x.version+x.class+x.kind)
	}
	if usual {
		return strconv.Itoa(len(*r))
	}
	return strings.Join(out, ",")
}

// Type implements pflag.Value.
func (*roles) Type() string { return "N or LIST" }

// usual are n devices as the demo has them.
func usual(n int) roles { return make(roles, n) }
