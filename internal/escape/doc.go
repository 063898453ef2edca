// Package escape reads and writes text as it stands inside URLs and inside JSON strings, appending to the
// caller's memory: net/url and encoding/json allocate for every value, and refuse what servers accept.
package escape
