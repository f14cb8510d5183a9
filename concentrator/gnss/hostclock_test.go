package gnss

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// adjtimex(2): the state TIME_ERROR or the flag STA_UNSYNC mean that nobody
// steers the clock.
func TestTheHostsClockIsTrustedOnlyUnderDiscipline(t *testing.T) {
	const within = 1500 * time.Microsecond
	for _, c := range []struct {
		name   string
		state  int
		status int32
		err    error
		want   bool
	}{
		{"steered", 0, unix.STA_PLL, nil, true},
		{"a leap second comes", 1, unix.STA_PLL, nil, true},
		{"never steered", unix.TIME_ERROR, unix.STA_UNSYNC, nil, false},
		{"no longer steered", 0, unix.STA_UNSYNC, nil, false},
		{"error", unix.TIME_ERROR, 0, nil, false},
		{"not allowed", 0, 0, errors.New("no"), false},
	} {
		ok, d := judge(c.state, c.err, c.status, within)
		if ok != c.want || ok && d != within || !ok && d != 0 {
			t.Errorf("%s: %v, %v", c.name, ok, d)
		}
	}
	if ok, d := HostClock(); !ok && d != 0 || d < 0 {
		t.Errorf("this host: %v, %v", ok, d)
	}
}
