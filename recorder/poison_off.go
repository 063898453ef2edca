//go:build !race

package recorder

const poison = false
