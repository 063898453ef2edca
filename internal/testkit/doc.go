// Package testkit holds what tests of several packages need: free ports and real servers. Nothing of it
// is part of the product.
//
//	test ─► FreeAddr ─► 127.0.0.1:port
//	     ─► StartNginx ─► nginx in a directory of its own, stopped with the test
//
// Invariants:
//   - Everything listens on the loopback interface and on ports the kernel gave.
//   - What is started ends with the test that started it, and its output is in the test's log when it fails.
package testkit
