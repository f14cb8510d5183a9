package lab

import (
	"errors"
	"testing"
	"testing/synctest"
)

// errVirtual says that the bubble broke; package testing printed why.
var errVirtual = errors.New("the virtual bench failed")

// Virtual runs f in a bubble of virtual time: the clock stands still while
// anything can run and jumps when everything waits, so that hours of radio
// pass in seconds, always in the same order. What f starts must have ended
// when it returns, and must not wait for anything outside, such as a socket.
//
// Go offers such bubbles to tests only; a T that no runner made is enough for
// one, as TestABubbleNeedsNoTestRunner proves with each new Go.
func Virtual(f func()) error {
	result := make(chan error, 1)
	go func() { // FailNow ends the goroutine that calls it
		err := errVirtual
		defer func() { result <- err }()
		synctest.Test(new(testing.T), func(*testing.T) {
			f()
			err = nil
		})
	}()
	return <-result
}
