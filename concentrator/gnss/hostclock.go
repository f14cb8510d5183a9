package gnss

import (
	"time"

	"golang.org/x/sys/unix"
)

// HostClock asks the kernel about the host's clock: disciplined is true while
// NTP, or whoever steers it, says that it is synchronised; within is how far
// it is off at most by the kernel's reckoning, which grows between two
// corrections. Without discipline nobody knows.
func HostClock() (disciplined bool, within time.Duration) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return judge(state, err, t.Status, time.Duration(t.Maxerror)*time.Microsecond)
}

func judge(state int, err error, status int32, within time.Duration) (bool, time.Duration) {
	if err != nil || state == unix.TIME_ERROR || status&unix.STA_UNSYNC != 0 {
		return false, 0
	}
	return true, within
}
