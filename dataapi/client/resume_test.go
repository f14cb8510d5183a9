package client

import (
	"fmt"
	"testing"
	"time"
)

func at(seconds int64) time.Time { return time.Unix(seconds, 0) }

// message is the meta of one that was made then.
func message(seconds int64, history bool) *Meta {
	return &Meta{PacketID: fmt.Sprint(seconds), Time: Unix(seconds), History: history}
}

func TestNewMessagesDoNotHideThePastThatIsStillToCome(t *testing.T) {
	p := newProgress(at(1000))
	p.connected()
	for _, m := range []*Meta{message(2000, false), message(1001, true), message(2001, false), message(1100, true)} {
		if !p.take(m) {
			t.Errorf("%+v was dropped", m)
		}
	}
	p.connected() // it broke within the replay
	if got, want := p.from(), at(1100).Add(-overlap); !got.Equal(want) {
		t.Errorf("asks for %v, want %v", got, want)
	}
	if p.take(message(2000, true)) {
		t.Error("what came as new came again as past")
	}
	p.caughtUp(at(1999))
	if got, want := p.from(), at(2001).Add(-overlap); !got.Equal(want) {
		t.Errorf("after the replay it asks for %v, want %v", got, want)
	}
}

func TestWhereNothingWasHeardThePositionIsTheConnectionsStart(t *testing.T) {
	p := newProgress(time.Time{})
	if !p.from().IsZero() {
		t.Error("asks for a past that nobody wants")
	}
	p.connected()
	p.caughtUp(at(500))
	if got, want := p.from(), at(500).Add(-overlap); !got.Equal(want) {
		t.Errorf("asks for %v, want %v", got, want)
	}
}

func TestTheMemoryOfIDsIsBounded(t *testing.T) {
	p := newProgress(time.Time{})
	for i := range int64(mostSeen + 10) {
		p.take(message(i+1, false))
	}
	if len(p.seen) != mostSeen || p.order.Len() != mostSeen || p.take(message(mostSeen, false)) || !p.take(message(1, false)) {
		t.Errorf("%d ids are remembered", len(p.seen))
	}
	for range 2 {
		if !p.take(&Meta{}) {
			t.Error("messages without an id are all new")
		}
	}
}
