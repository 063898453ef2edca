// Package template finds the route that a request belongs to: its path with the parts that differ from
// request to request replaced, so that requests can be counted and compared by what they ask for.
//
//	/packets/17?x=1           →  /packets/{id}       a pattern that was configured
//	/users/17/orders/9f8b2c41 →  /users/*/orders/*   learned: the parts look like identifiers
//	/users/ada                →  /users/*            learned: more names than Config.Children stood there
//
// Invariants:
//   - A Table returns at most Config.Limit templates, over all services and methods; the rest is Other, and counted.
//   - The same requests in the same order give the same templates. What was counted under names that become *
//     later is counted under * then.
//   - Nothing is read, written or waited for. A Table belongs to one goroutine at a time: a known path costs 60 to
//     120 ns, of which a lock would be a fifth. Whoever has several goroutines gives each a Table, or its own lock.
package template
