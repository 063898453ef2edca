// Package layers holds the table of DESIGN §2: imports point down only, and packages of one layer do not
// know each other. When the table is wrong in practice, change it here and in DESIGN.md together, with
// an ADR that says why.
package layers

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/redlane/redlane/"

// layerOf lists where packages live, most specific first. A folder covers everything below it.
var layerOf = []struct {
	dir   string
	layer int
}{
	{"internal/wire", 2},
	{"internal/engine", 2},
	{"internal", 0},
	{"traffic", 1},
	{"lanes", 2},
	{"recorder/tape", 2},
	{"recorder/template", 2},
	{"recorder", 3},
	{"replayer", 3},
	{"injector", 3},
	{"mesh", 3},
	{"reports", 3},
	{"scenarios", 4},
	{"cmd", 5},
	{"bench", 5},
}

func TestImportsPointDown(t *testing.T) {
	imports := productImports(t)
	require.Contains(t, imports, "traffic", "the walk found almost nothing: is the root right?")
	for from, targets := range imports {
		fromDir, fromLayer := locate(from)
		require.NotEmpty(t, fromDir, "%s is in no layer: add it to the table or move it", from)
		for _, to := range targets {
			toDir, toLayer := locate(to)
			require.NotEmpty(t, toDir, "%s imports %s, which is in no layer", from, to)
			if fromDir == toDir || (top(from) == top(to) && top(from) != "internal") {
				continue // one noun may be several packages, and so may the foundations
			}
			if toLayer >= fromLayer {
				t.Errorf("%s (L%d) imports %s (L%d): imports point down only", from, fromLayer, to, toLayer)
			}
		}
	}
}

// productImports lists, for every package, the packages of this module that its non-test files import.
func productImports(t *testing.T) map[string][]string {
	imports := make(map[string][]string)
	walk(t, func(file string, imported []string) {
		dir := path.Dir(file)
		imports[dir] = imports[dir][:len(imports[dir]):len(imports[dir])]
		for _, p := range imported {
			if rel, ours := strings.CutPrefix(p, module); ours && rel != dir {
				imports[dir] = append(imports[dir], rel)
			}
		}
	})
	return imports
}

// walk calls f for each product Go file. It reads the tree itself, so that its result is never served
// from the test cache: the cache does not know which files a test opens through go list.
func walk(t *testing.T, f func(file string, imported []string)) {
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "tools"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		var imported []string
		for _, spec := range file.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imported = append(imported, p)
		}
		f(name, imported)
		return nil
	})
	require.NoError(t, err)
}

func locate(dir string) (string, int) {
	for _, l := range layerOf {
		if dir == l.dir || strings.HasPrefix(dir, l.dir+"/") {
			return l.dir, l.layer
		}
	}
	return "", -1
}

func top(dir string) string {
	head, _, _ := strings.Cut(dir, "/")
	return head
}
