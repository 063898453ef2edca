package mesh_test

import (
	"fmt"

	"github.com/redlane/redlane/mesh"
)

func ExampleParse() {
	_, err := mesh.Parse("mesh.yaml", []byte(`
services:
  gateway:
    listen: 127.0.0.1:9000
    endpoint: [127.0.0.1:9100]
`))
	fmt.Println(err)
	// Output: mesh.yaml:5: services.gateway: no key "endpoint" (did you mean "endpoints"?)
}
