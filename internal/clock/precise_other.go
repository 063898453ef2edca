//go:build !linux

package clock

import "runtime"

// Precise is System where the kernel offers no better: its sleeps end up to about 1 ms late.
var Precise Clock = system{}

// LockThread wires the calling goroutine to its thread; unlock undoes it.
func LockThread() (unlock func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// Punctual does nothing where the kernel offers no better.
func Punctual() (relax func()) { return func() {} }
