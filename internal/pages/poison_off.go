//go:build !race

package pages

const poison = false
