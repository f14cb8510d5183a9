package bridge

import "errors"

// What callers branch on; wrapped with the action and the next step.
var (
	ErrLine     = errors.New("the line to the USB concentrator is broken")
	ErrNoAnswer = errors.New("the USB concentrator doesn't answer")
	ErrAnswer   = errors.New("not the answer of a USB concentrator")
	ErrRefused  = errors.New("the USB concentrator refuses")
)
