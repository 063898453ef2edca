//go:build race

package recorder

const poison = true // a late reader of a body that was given back must fail its test
