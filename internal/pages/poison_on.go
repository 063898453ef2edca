//go:build race

package pages

const poison = true // a late reader of a page that was given back must fail its test
