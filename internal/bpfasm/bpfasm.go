// Package bpfasm puts BPF programs together from lists of instructions, so that what they do reads from top to
// bottom in Go and needs no other compiler.
package bpfasm

import "github.com/cilium/ebpf/asm"

// Code joins instructions and lists of them.
func Code(parts ...any) (all asm.Instructions) {
	for _, p := range parts {
		switch p := p.(type) {
		case asm.Instruction:
			all = append(all, p)
		case asm.Instructions:
			all = append(all, p...)
		default:
			panic("BUG: neither an instruction nor a list of them")
		}
	}
	return all
}

// Label names the place where what follows begins.
func Label(name string, follows asm.Instructions) asm.Instructions {
	follows[0] = follows[0].WithSymbol(name)
	return follows
}

// Stack points dst at a place of the stack, counted from its end.
func Stack(dst asm.Register, at int32) asm.Instructions {
	return Code(asm.Mov.Reg(dst, asm.RFP), asm.Add.Imm(dst, at))
}
