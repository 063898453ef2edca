package clickhouse_test

import (
	"fmt"

	"github.com/redlane/redlane/recorder/clickhouse"
)

// Where a recording lies is a URL. Printed, it never shows who reads it.
func ExampleParseURL() {
	a, err := clickhouse.ParseURL("clickhouse://lab:secret@127.0.0.1/redlane?recording=eve")
	fmt.Println(a, err)
	_, err = clickhouse.ParseURL("clickhouse://127.0.0.1/redlane?record=eve")
	fmt.Println(err)
	// Output:
	// clickhouse://127.0.0.1:9000/redlane?recording=eve <nil>
	// clickhouse://127.0.0.1/redlane?record=eve: no setting "record": there are recording, cluster, keep, secure and ca
}
