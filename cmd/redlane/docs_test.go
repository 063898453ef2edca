package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector/host"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/replayer/rewrite"
	"github.com/redlane/redlane/scenarios"
)

const root = "../.."

func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "recorder/tape/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			rel, err := filepath.Rel(root, path)
			require.NoError(t, err)
			texts[rel] = string(text)
		}
	}
	require.Contains(t, texts, "README.md")
	return texts
}

var (
	mdLink   = regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	codePath = regexp.MustCompile("`((?:cmd|bench|scenarios|recorder|replayer|injector|mesh|reports|lanes|internal|traffic|docs|scripts|deploy)/[A-Za-z0-9_./*-]*)`")
	makeGoal = regexp.MustCompile("(?m)(?:`|^)make ([a-z-]+)")
)

// Every file, folder and make goal that a document names is there.
func TestDocumentsNameWhatExists(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	for name, text := range documents(t) {
		for _, m := range mdLink.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			_, err := os.Stat(filepath.Join(root, filepath.Dir(name), m[1]))
			require.NoError(t, err, "%s links to %s", name, m[1])
		}
		for _, m := range codePath.FindAllStringSubmatch(text, -1) {
			found, err := filepath.Glob(filepath.Join(root, m[1]))
			require.NoError(t, err)
			if strings.Contains(m[1], "NAME") {
				continue
			}
			require.NotEmpty(t, found, "%s names %s", name, m[1])
		}
		for _, m := range makeGoal.FindAllStringSubmatch(text, -1) {
			require.Regexp(t, `(?m)^`+m[1]+`:`, string(makefile), "%s names make %s", name, m[1])
		}
	}
}

var (
	shBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")
	command = regexp.MustCompile(`(?m)^(?:bin/)?redlane ([^#\n]+)`)
)

var word = regexp.MustCompile(`'([^']*)'|[^\s']+`)

// words are the arguments of a command line, as a shell sees them that knows single quotes.
func words(line string) (args []string) {
	for _, m := range word.FindAllStringSubmatch(line, -1) {
		if args = append(args, m[0]); strings.HasPrefix(m[0], "'") {
			args[len(args)-1] = m[1]
		}
	}
	return args
}

// Every command line in a document is one that the program takes: verb, flags, number of arguments.
func TestDocumentedCommandsParse(t *testing.T) {
	n := 0
	for name, text := range documents(t) {
		var blocks strings.Builder
		for _, m := range shBlock.FindAllStringSubmatch(text, -1) {
			blocks.WriteString(m[1])
		}
		for _, m := range command.FindAllStringSubmatch(blocks.String(), -1) {
			args := words(m[1])
			cmd, rest, err := rootCmd().Find(args)
			require.NoError(t, err, "%s: redlane %s", name, m[1])
			require.NoError(t, cmd.ParseFlags(rest), "%s: redlane %s", name, m[1])
			require.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()), "%s: redlane %s", name, m[1])
			require.NoError(t, cmd.ValidateRequiredFlags(), "%s: redlane %s", name, m[1])
			n++
		}
	}
	require.Greater(t, n, 5, "hardly any commands were found: is the pattern right?")
}

var rewriteFile = regexp.MustCompile(`(?m)^(extract|replace|identity|sign):`)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

var agentBlock = regexp.MustCompile("(?s)```yaml agent\n(.*?)```")

// Every YAML file shown in a document is one that the program takes.
func TestDocumentedFilesAreRight(t *testing.T) {
	n := 0
	for name, text := range documents(t) {
		for _, m := range agentBlock.FindAllStringSubmatch(text, -1) {
			_, err := host.Parse(name, []byte(m[1]))
			require.NoError(t, err, "%s:\n%s", name, m[1])
		}
		for _, m := range yamlBlock.FindAllStringSubmatch(text, -1) {
			var err error
			if strings.HasPrefix(m[1], "scenario:") {
				_, err = scenarios.Parse(name, []byte(m[1]))
			} else if strings.Contains("\n"+m[1], "\nrules:\n") {
				_, err = recorder.ParseRules(name, []byte(m[1]), func(string) string { return "sixteen bytes or more" })
			} else if rewriteFile.MatchString(m[1]) {
				_, err = rewrite.Parse(name, []byte(m[1]), func(string) string { return "sixteen bytes or more" })
			} else {
				_, err = mesh.Parse(name, []byte(m[1]))
			}
			require.NoError(t, err, "%s:\n%s", name, m[1])
			n++
		}
	}
	require.GreaterOrEqual(t, n, 3)
}

// The scenarios that come with redlane pass its own check.
func TestLibraryIsRight(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "scenarios/library/*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		_, err := scenarios.Load(path)
		require.NoError(t, err)
	}
}

var shownFile = regexp.MustCompile("(?s)```go ([a-z_/]+\\.go)\n(.*?)```")

// Go files shown whole in a document are equal to the file they name.
func TestShownFilesAreTheFiles(t *testing.T) {
	n := 0
	for name, text := range documents(t) {
		for _, m := range shownFile.FindAllStringSubmatch(text, -1) {
			file, err := os.ReadFile(filepath.Join(root, m[1]))
			require.NoError(t, err)
			require.Equal(t, string(file), m[2], "%s shows %s", name, m[1])
			n++
		}
	}
	require.Positive(t, n)
}
