package main

import (
	"testing"

	"gatewayd/nsedge/region"
)

func TestEveryFourthDeviceOfTheDemoIsOfClassC(t *testing.T) {
	r, err := region.Lookup("EU868")
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCast(r, nil, usual(8))
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range c.members {
		if got, want := m.device().Class == "C", i%4 == 3; got != want {
			t.Errorf("%s is of class %q", m.Name, m.device().Class)
		}
	}
}
