package chserver

import (
	"encoding/json"
	"fmt"
	"os"
)

// childEnv carries the order to the engine process: presence of the variable is what makes a program the
// engine and not the launcher.
const childEnv = "REDLANE_CHSERVER_ENGINE"

// An Order says what the engine process is to run. Its working directory is the data directory.
type Order struct {
	Library string `json:"library"`
	Data    string `json:"data"`
	Port    int    `json:"port"`
	Config  string `json:"config,omitempty"` // path of a configuration file
	Fifo    string `json:"fifo"`             // relative to Data; the engine runs for as long as somebody may write to it
}

// ReadOrder returns the order of this process, and false when it has none.
func ReadOrder() (Order, bool, error) {
	var o Order
	text, ok := os.LookupEnv(childEnv)
	if !ok {
		return o, false, nil
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return o, true, fmt.Errorf("%s: %w", childEnv, err)
	}
	return o, true, nil
}

func (o Order) env() string {
	b, err := json.Marshal(o)
	if err != nil {
		panic("BUG: order of the engine: " + err.Error())
	}
	return childEnv + "=" + string(b)
}
