package dataapi

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits paces things by name: by address, by account, by token. It remembers
// a bounded number of names.
type limits struct {
	rate  rate.Limit // a second
	burst int
	most  int // names

	mu sync.Mutex
	by map[string]*rate.Limiter
}

// mostLimited is how many names a table of limits remembers.
const mostLimited = 4096

func newLimits(perSecond float64, burst int) *limits {
	return &limits{rate: rate.Limit(perSecond), burst: burst, most: mostLimited, by: map[string]*rate.Limiter{}}
}

// allow counts one thing; it tells whether it may be, and if not, how long to
// wait.
func (l *limits) allow(name string) (ok bool, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.by[name]
	if one == nil {
		l.makeRoom()
		one = rate.NewLimiter(l.rate, l.burst)
		l.by[name] = one
	}
	r := one.Reserve()
	if wait = r.Delay(); wait > 0 {
		r.Cancel()
		return false, wait
	}
	return true, 0
}

// spent is how long a name has to wait before anything is allowed; nothing is
// counted.
func (l *limits) spent(name string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.by[name]
	if one == nil {
		return 0
	}
	lacking := 1 - one.Tokens()
	return max(0, time.Duration(lacking/float64(l.rate)*float64(time.Second)))
}

// clear forgets a name.
func (l *limits) clear(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.by, name)
}

// makeRoom forgets who has nothing to answer for; if there is nobody, anybody.
func (l *limits) makeRoom() {
	if len(l.by) < l.most {
		return
	}
	for name, one := range l.by {
		if one.Tokens() >= float64(l.burst) {
			delete(l.by, name)
		}
	}
	for name := range l.by {
		if len(l.by) < l.most/4*3 { // room enough for a while: the search is not for free
			return
		}
		delete(l.by, name)
	}
}

// addressOf is whom a request is counted for: an IPv4 address, an IPv6
// network of 64 bits, which is what one customer has, or what else there is.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// tooMany is the refusal of who comes too often.
func tooMany(wait time.Duration, what string) *problem {
	wait = max(wait.Round(time.Second), time.Second)
	return &problem{http.StatusTooManyRequests, codeRateLimited, "", "too many " + what + "; try again in " + wait.String()}
}
