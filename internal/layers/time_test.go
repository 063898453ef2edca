package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// handedIn are calls that hide an input: the time or the dice. They are allowed in the folders named, the
// edges of the program that hand both in.
var handedIn = []struct {
	pkg, name string // the package's own name, and * for all of it
	allowed   []string
	instead   string
}{
	{"time", "Now", []string{"internal/clock", "internal/engine", "internal/testkit", "cmd", "bench", "scenarios/redpacket"}, "take a clock.Clock"},
	{"time", "Since", []string{"internal/clock", "internal/engine", "internal/testkit", "cmd", "bench", "scenarios/redpacket"}, "take a clock.Clock"},
	{"time", "Sleep", []string{"internal/clock", "internal/engine", "internal/testkit", "bench"}, "use clock.Clock.SleepUntil"},
	{"rand", "*", []string{"internal/chance", "internal/testkit", "internal/engine/conformance"}, "draw from chance.Stream"},
}

func TestTimeAndChanceAreHandedIn(t *testing.T) {
	files := 0
	walk(t, func(file string, imported []string) {
		files++
		src, err := fs.ReadFile(os.DirFS("../.."), file)
		require.NoError(t, err)
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, file, src, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || pkg.Obj != nil {
				return true
			}
			for _, h := range handedIn {
				if pkg.Name == h.pkg && !(h.pkg == "rand" && slices.Contains(imported, "crypto/rand")) && (h.name == "*" || sel.Sel.Name == h.name) && !under(file, h.allowed) {
					t.Errorf("%s: %s.%s: %s", fset.Position(n.Pos()), h.pkg, sel.Sel.Name, h.instead)
				}
			}
			return true
		})
	})
	require.Greater(t, files, 10, "the walk found almost nothing")
}

func under(file string, dirs []string) bool {
	for _, d := range dirs {
		if strings.HasPrefix(file, d+"/") {
			return true
		}
	}
	return false
}
