package rewrite

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	idA  = "3fa85f64-5717-4562-b3fc-2c963f66afa6" // recorded
	idA2 = "9b2e4c1d-0f6a-4d3b-8e57-a1c2d3e4f506" // what came in its place
	idB  = "8f3a9c2e41d07b65"
	idB2 = "17c0d94be2f8a653"
	jwtA = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJlLW9uZQ"
	jwtB = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MyJ9.c2lnbmF0dXJlLXR3bw"
)

// What one answer teaches, and what it makes of the next request.
func TestSubstitution(t *testing.T) {
	f := func(answer, replayed, request, want string) {
		t.Helper()
		l := newLab(t, Config{Learn: LearnOn})
		l.exchange("POST /items", answer, replayed)
		require.Equal(t, want, l.send(request))
	}
	json := "201|Content-Type: application/json||"

	// Where a strong value may stand.
	a, a2 := json+`{"id":"`+idA+`"}`, json+`{"id":"`+idA2+`"}`
	f(a, a2, "GET /items/"+idA, "GET /items/"+idA2)
	f(a, a2, "GET /x/"+idA+".json?y="+idA+"&z=1,"+idA, "GET /x/"+idA2+".json?y="+idA2+"&z=1,"+idA2)
	f(a, a2, "GET /|X-Item: "+idA+"|Referer: http://a/items/"+idA+"?x", "GET /|X-Item: "+idA2+"|Referer: http://a/items/"+idA2+"?x")
	f(a, a2, "PUT /|Content-Type: application/json||"+`{"a":{"b":["`+idA+`", "see `+idA+`!"]}}`, "PUT /|Content-Type: application/json||"+`{"a":{"b":["`+idA2+`", "see `+idA2+`!"]}}`)
	f(a, a2, "POST /|Content-Type: application/x-www-form-urlencoded||x="+idA+"&y=%5B"+idA+"%5D", "POST /|Content-Type: application/x-www-form-urlencoded||x="+idA2+"&y=%5B"+idA2+"%5D")
	f(a, a2, "POST /|Content-Type: text/xml||<i>"+idA+"</i>", "POST /|Content-Type: text/xml||<i>"+idA2+"</i>")
	f(a, a2, "GET /?next=%2Fitems%2F"+idA+"%3Fx", "GET /?next=%2Fitems%2F"+idA2+"%3Fx")
	f(a, a2, "GET /items/x"+idA, "GET /items/x"+idA) // not a token of its own
	f(a, a2, "POST /|Content-Type: image/png||"+idA, "POST /|Content-Type: image/png||"+idA)
	f(a, a2, "POST /|Content-Type: application/json|Content-Encoding: gzip||"+`{"id":"`+idA+`"}`, "POST /|Content-Type: application/json|Content-Encoding: gzip||"+`{"id":"`+idA+`"}`)

	// Tokens, with characters that separate in them.
	f(json+`{"access_token":"`+jwtA+`"}`, json+`{"access_token":"`+jwtB+`"}`, "GET /|Authorization: Bearer "+jwtA, "GET /|Authorization: Bearer "+jwtB)
	f(json+`{"t":"ab+/9c1D2e3F4g5=="}`, json+`{"t":"zz+/8c1D2e3F4g5=="}`, "GET /?t=ab%2B%2F9c1D2e3F4g5%3D%3D|X-T: ab+/9c1D2e3F4g5==", "GET /?t=zz%2B%2F8c1D2e3F4g5%3D%3D|X-T: zz+/8c1D2e3F4g5==")
	f(json+`{"user":"`+idB+`","key":"K9x7Q2m4Z8"}`, json+`{"user":"`+idB2+`","key":"P3w5R6n1Y0"}`,
		"GET /|Authorization: Basic OGYzYTljMmU0MWQwN2I2NTpLOXg3UTJtNFo4", "GET /|Authorization: Basic MTdjMGQ5NGJlMmY4YTY1MzpQM3c1UjZuMVkw")
	f(json+`{"t":"a\"\u00e9`+idB+`"}`, json+`{"t":"b\"`+idB2+`"}`, "GET /|X: 1", "GET /|X: 1") // no token: it has a quote

	// Headers.
	f("200|Set-Cookie: sid=1; Path=/", "200|Set-Cookie: sid=2; Path=/", "GET /?n=1|Cookie: a=1; sid=1; b=1", "GET /?n=1|Cookie: a=1; sid=2; b=1")
	f(`200|ETag: W/"1"`, `200|ETag: "7"`, `PUT /items/1|If-Match: "1", W/"2"|X: 1`, `PUT /items/1|If-Match: "7", W/"2"|X: 1`)
	f("201|Location: http://h/items/42", "201|Location: http://h/items/43", "GET /items/42/42", "GET /items/43/42")
	f("201|Location: /items/"+idB+"?v="+idA, "201|Location: /items/"+idB2+"?v="+idA2, "GET /items/"+idB+"?v="+idA, "GET /items/"+idB2+"?v="+idA2)
	f("200|X-CSRF-Token: abc", "200|X-CSRF-Token: xyz", "POST /|X-CSRF-Token: abc|X-Other: abc", "POST /|X-CSRF-Token: xyz|X-Other: abc")
	f("200|Last-Modified: Tue, 21 Nov 2023 10:00:00 GMT", "200|Last-Modified: Wed, 22 Nov 2023 10:00:00 GMT",
		"PUT /|If-Unmodified-Since: Tue, 21 Nov 2023 10:00:00 GMT", "PUT /|If-Unmodified-Since: Wed, 22 Nov 2023 10:00:00 GMT")
	f("200|Date: 8f3a9c2e41d07b65", "200|Date: 17c0d94be2f8a653", "GET /"+idB, "GET /"+idB)

	// Pages, and answers that are a token.
	html := "200|Content-Type: text/html||"
	f(html+`<META content=`+idB+` name=csrf-token><input value='q1' type=hidden name="csrf">`, html+`<meta content="`+idB2+`" name=csrf-token><input type=hidden value='r2' name="csrf">`,
		"POST /|X-T: "+idB+"|Content-Type: application/x-www-form-urlencoded||csrf=q1&q=q1", "POST /|X-T: "+idB2+"|Content-Type: application/x-www-form-urlencoded||csrf=r2&q=q1")
	f(html+`<input name=search value=`+idB+`>`, html+`<input name=search value=`+idB2+`>`, "GET /"+idB, "GET /"+idB) // people write into it
	f("200|Content-Type: text/plain||"+idB+"\n", "200|Content-Type: text/plain||"+idB2+"\n", "GET /"+idB, "GET /"+idB2)

	// What stands for what depends on the outcome.
	f(a, "500|Content-Type: application/json||"+`{"id":"`+idA2+`"}`, "GET /items/"+idA, "GET /items/"+idA)
	f(a, json+`{"id":null}`, "GET /items/"+idA, "GET /items/"+idA)
	f(a, json+`{"id":"a\r\nb"}`, "GET /items/"+idA, "GET /items/"+idA) // it would split the request
	f(a, json+`{"id":"ä b?c"}`, "GET /items/"+idA+"?x="+idA, "GET /items/%C3%A4%20b%3Fc?x=%C3%A4%20b%3Fc")

	f(a, json+`{"id":"a\"b"}`, "PUT /|Content-Type: application/json||"+`["`+idA+`"]`, "PUT /|Content-Type: application/json||"+`["a\"b"]`)

	// Numbers stay numbers where the target has numbers.
	f(json+`{"id":7}`, json+`{"id":9}`, "POST /|Content-Type: application/json||"+`{"item_id":7,"n":7}`, "POST /|Content-Type: application/json||"+`{"item_id":9,"n":7}`)
	f(json+`{"id":7}`, json+`{"id":"i-9"}`, "POST /|Content-Type: application/json||"+`{"item_id":7,"item":{"id":"7"}}`, "POST /|Content-Type: application/json||"+`{"item_id":"i-9","item":{"id":"i-9"}}`)
	f(json+`{"id":1234567890123456}`, json+`{"id":6543210987654321}`, "GET /x/1234567890123456", "GET /x/6543210987654321")
}

// Weak values: only where both names agree.
func TestWeakValues(t *testing.T) {
	f := func(made, answer, replayed, request, want string) {
		t.Helper()
		l := newLab(t, Config{Learn: LearnOn})
		json := "200|Content-Type: application/json||"
		l.exchange(made, json+answer, json+replayed)
		require.Equal(t, strings.ReplaceAll(want, "JSON|", "Content-Type: application/json||"), l.send(strings.ReplaceAll(request, "JSON|", "Content-Type: application/json||")))
	}
	f("POST /items", `{"id":7}`, `{"id":9}`, "GET /items/7", "GET /items/9")
	f("POST /items", `{"id":7}`, `{"id":9}`, "GET /v1/Items/7/notes/7", "GET /v1/Items/9/notes/7")
	f("POST /items", `{"id":7}`, `{"id":9}`, "GET /orders/7?item_id=7&itemId=7&order_id=7&n=7", "GET /orders/7?item_id=9&itemId=9&order_id=7&n=7")
	f("POST /items", `{"id":7}`, `{"id":9}`, "GET /items?id=7", "GET /items?id=9")
	f("POST /items", `{"id":7}`, `{"id":9}`, "GET /orders?id=7", "GET /orders?id=7")
	f("POST /api/categories", `{"id":7}`, `{"id":9}`, "GET /category/7", "GET /category/9")
	f("POST /x", `{"data":{"order":{"id":"7"}}}`, `{"data":{"order":{"id":"9"}}}`, "GET /orders/7", "GET /orders/9")
	f("POST /x", `{"order_id":"7"}`, `{"order_id":"9"}`, "GET /orders/7?userId=7", "GET /orders/9?userId=7")
	f("POST /x", `{"order":{"lines":[{"id":1},{"id":2}]}}`, `{"order":{"lines":[{"id":11},{"id":12}]}}`, "GET /lines/2?order_id=2", "GET /lines/12?order_id=2")
	f("PUT /items/1", `{"version":3}`, `{"version":5}`, "PUT /items/1|JSON|{\"version\":3,\"size\":3}", "PUT /items/1|JSON|{\"version\":5,\"size\":3}")
	// Prices, counts, words and times are nobody's names.
	f("POST /items", `{"price":7,"status":"new","count":7,"active":"yes"}`, `{"price":9,"status":"old","count":9,"active":"no"}`,
		"GET /items/7?status=new&count=7&price=7&active=yes", "GET /items/7?status=new&count=7&price=7&active=yes")
	f("POST /items", `{"created":"2026-05-17T10:00:00Z"}`, `{"created":"2026-05-18T10:00:00Z"}`, "GET /items?since=2026-05-17T10:00:00Z", "GET /items?since=2026-05-17T10:00:00Z")
}

// Lists come in another order, and longer or shorter.
func TestLists(t *testing.T) {
	json := "200|Content-Type: application/json||"
	list := func(ids ...string) string {
		return json + `{"items":[{"id":"` + strings.Join(ids, `"},{"id":"`) + `"}]}`
	}
	const x, y, z = "aa11bb22cc33dd44", "bb22cc33dd44ee55", "cc33dd44ee55ff66"
	const x2, y2, z2 = "a1a1b2b2c3c3d4d4", "b2b2c3c3d4d4e5e5", "c3c3d4d4e5e5f6f6"
	f := func(recorded, replayed, request, want string) {
		t.Helper()
		l := newLab(t, Config{Learn: LearnOn})
		l.exchange("POST /items", json+`{"id":"`+y+`"}`, json+`{"id":"`+y2+`"}`) // y is known
		l.exchange("GET /items", recorded, replayed)
		require.Equal(t, want, l.send(request))
	}
	f(list(x, y), list(y2, x2), "GET /"+x+"/"+y, "GET /"+x2+"/"+y2)
	f(list(x, y, z), list(z2, y2, x2), "GET /"+x+"/"+y+"/"+z, "GET /"+z2+"/"+y2+"/"+x2) // in order, as far as anybody knows
	f(list(x, y), list(y2, x2, z2), "GET /"+x+"/"+y, "GET /"+x+"/"+y2)                  // more came than there were: who knows
	f(list(x, y, z), list(z, x2, y2), "GET /"+x+"/"+z, "GET /"+x2+"/"+z)                // z is in both: it was there before
	f(json+`[{"id":1},{"id":2}]`, json+`[{"id":2},{"id":3}]`, "GET /items/1/items/2", "GET /items/1/items/2")
	f(json+`[{"id":1},{"id":2}]`, json+`[{"id":5},{"id":6}]`, "GET /items/1/items/2", "GET /items/5/items/6")
}

// The latest answer counts, an unanswered request is counted, and what is the same again is forgotten.
func TestSessionLearnsOn(t *testing.T) {
	json := "200|Content-Type: application/json||"
	l := newLab(t, Config{Learn: LearnOn})
	l.exchange("POST /login", json+`{"token":"`+idA+`"}`, "")
	require.Equal(t, "GET /|X-T: "+idA, l.send("GET /|X-T: "+idA))
	require.EqualValues(t, 1, l.memory.Counts().Unresolved)
	l.exchange("POST /login", json+`{"token":"`+idA+`"}`, json+`{"token":"`+idA2+`"}`)
	require.Equal(t, "GET /|X-T: "+idA2, l.send("GET /|X-T: "+idA))
	l.exchange("POST /login", json+`{"token":"`+idA+`"}`, json+`{"token":"`+idB2+`"}`)
	require.Equal(t, "GET /|X-T: "+idB2, l.send("GET /|X-T: "+idA))
	l.exchange("POST /login", json+`{"token":"`+idA+`"}`, json+`{"token":"`+idA+`"}`)
	require.Equal(t, "GET /|X-T: "+idA, l.send("GET /|X-T: "+idA))
	l.session++
	require.Equal(t, "GET /|X-T: "+idA, l.send("GET /|X-T: "+idA), "another session")
}

// Answers are compressed, each in its own way.
func TestCodedAnswers(t *testing.T) {
	var zipped, deflated bytes.Buffer
	for _, w := range []struct {
		io.WriteCloser
		text string
	}{{gzip.NewWriter(&zipped), `{"id":"` + idA + `"}`}, {zlib.NewWriter(&deflated), `{"id":"` + idA2 + `"}`}} {
		_, err := io.WriteString(w, w.text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	l := newLab(t, Config{Learn: LearnOn})
	l.exchange("POST /items", "201|Content-Type: application/json|Content-Encoding: gzip||"+zipped.String(),
		"201|Content-Type: application/json|Content-Encoding: deflate||"+deflated.String())
	require.Equal(t, "GET /items/"+idA2, l.send("GET /items/"+idA))
	l.exchange("POST /items", "201|Content-Type: application/json|Content-Encoding: gzip||"+zipped.String(), "201|Content-Type: application/json|Content-Encoding: gzip||{}")
	require.Equal(t, "GET /items/"+idA2, l.send("GET /items/"+idA), "what cannot be read says nothing")
}

// Two recorded values never become one.
func TestNoTwoBecomeOne(t *testing.T) {
	json := "200|Content-Type: application/json||"
	l := newLab(t, Config{Learn: LearnOn})
	l.exchange("POST /a", json+`{"id":"`+idA+`"}`, json+`{"id":"`+idA2+`"}`)
	l.exchange("GET /latest", json+`{"id":"`+idB+`"}`, json+`{"id":"`+idA2+`"}`)
	require.Equal(t, "GET /"+idB, l.send("GET /"+idB))
	require.Equal(t, "GET /"+idA2, l.send("GET /"+idA))
}

// Chunked requests, and the length of others.
func TestFramingIsMadeAgain(t *testing.T) {
	json := "200|Content-Type: application/json||"
	l := newLab(t, Config{Learn: LearnOn})
	l.exchange("POST /items", json+`{"id":"`+idA+`"}`, json+`{"id":"`+idB2+`"}`)
	require.Equal(t, "PUT /|Content-Type: application/json||"+`["`+idB2+`"]`, l.send("PUT /|Content-Type: application/json|Content-Length: 38||"+`["`+idA+`"]`))
	require.Equal(t, "PUT /|Transfer-Encoding: chunked|Content-Type: application/json||"+"14\r\n[\""+idB2+"\"]\r\n0\r\n\r\n",
		l.send("PUT /|Transfer-Encoding: chunked|Content-Type: application/json||"+`["`+idA+`"]`))
}

// Credentials that were too secret to be stored come from the jar and from the last token.
func TestMaskedCredentials(t *testing.T) {
	l := newLab(t, Config{Learn: LearnOn})
	require.Equal(t, "GET /|Cookie: REDACTED", l.send("GET /|Cookie: REDACTED"))
	require.EqualValues(t, 1, l.memory.Counts().Unresolved)
	l.exchange("POST /login", `200|Set-Cookie: REDACTED|Content-Type: application/json||{"token":"REDACTED"}`,
		`200|Set-Cookie: a=1; Path=/|Set-Cookie: b=2|Content-Type: application/json||{"token":"`+jwtB+`"}`)
	require.Equal(t, "GET /|Cookie: a=1; b=2|Authorization: Bearer "+jwtB, l.send("GET /|Cookie: REDACTED|Authorization: REDACTED"))
	l.exchange("POST /x", "200|Set-Cookie: REDACTED", "200|Set-Cookie: a=; Max-Age=0")
	require.Equal(t, "GET /|Cookie: b=2", l.send("GET /|Cookie: REDACTED"))
	require.Equal(t, "GET /?x=REDACTED", l.send("GET /?x=REDACTED"))
}

// Values go from session to session only when that was asked for, and never from clone to clone.
func TestSharedValues(t *testing.T) {
	json := "200|Content-Type: application/json||"
	l := newLab(t, Config{Learn: LearnShared, Clones: 2})
	l.exchange("POST /items", json+`{"id":"`+idA+`","item_id":7}`, json+`{"id":"`+idA2+`","item_id":9}`)
	l.session++
	require.Equal(t, "GET /items/"+idA2+"/items/7", l.send("GET /items/"+idA+"/items/7"))
	l.clone = 1
	require.Equal(t, "GET /items/"+idA, l.send("GET /items/"+idA))
}
