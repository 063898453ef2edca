package template_test

import (
	"fmt"

	"github.com/redlane/redlane/recorder/template"
)

func Example() {
	t, err := template.New(template.Config{Patterns: []string{"/packets/{id}"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, target := range []string{"/packets/red", "/packets/17?x=1", "/users/17/orders", "/users/18/orders"} {
		t.Route("gateway", []byte("GET"), []byte(target))
	}
	for _, r := range t.Routes() {
		fmt.Println(r.Count, r.Service, r.Method, r.Template)
	}
	// Output:
	// 2 gateway GET /packets/{id}
	// 2 gateway GET /users/*/orders
}
