package scenarios

import (
	"fmt"
	"os"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/mesh"
)

// A Scenario is one file: services in a mesh, steps on a time line, and what must hold at the end.
type Scenario struct {
	conf.Pos
	Name     string                   `yaml:"scenario"` // required; one line, the title of the report
	Seed     uint64                   `yaml:"seed"`     // of every decision left to chance; 0 is a seed like any other
	Services map[string]*mesh.Service `yaml:"services"` // required; as in mesh.yaml
	Steps    []Step                   `yaml:"steps"`    // required
	Expect   []Expect                 `yaml:"expect"`   // what the verdict is about

	Path string // of the file
	Text []byte // of the file, kept for the report
}

// Load reads and checks the scenario at path.
func Load(path string) (*Scenario, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return Parse(path, text)
}

// Parse reads and checks a scenario; path is only for messages.
func Parse(path string, text []byte) (*Scenario, error) {
	s := &Scenario{Path: path, Text: text}
	if err := conf.Decode(path, text, s); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}
