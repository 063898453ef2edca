package rewrite

import "bytes"

// A weak value is replaced only where its meaning is the same, and that is told by two names: whose it is,
// and what it is.
//
//	POST /items        answers {"id": 7}             item, id
//	GET /items/7                                     item, id
//	GET /orders?item_id=7                            item, id
//	{"item": {"id": 7}, "version": 3}                item, id; and the version of what the path names
//
// meaning is the hash of both; 0 is none.
type meaning uint64

// idWords are last words of keys whose value names something. Everything else, such as a count or a price,
// is not learned when it is weak.
var idWords = map[string]bool{
	"id": true, "uuid": true, "guid": true, "key": true, "ref": true, "reference": true, "no": true, "number": true,
	"code": true, "token": true, "nonce": true, "csrf": true, "xsrf": true, "version": true, "rev": true,
	"revision": true, "etag": true, "cursor": true, "seq": true, "sequence": true, "handle": true, "slug": true, "ticket": true,
	"sid": true, "otp": true, "pin": true,
}

// ownWords say what a value is whoever it belongs to: a form's token is that of the session.
var ownWords = map[string]bool{"csrf": true, "xsrf": true, "nonce": true, "token": true, "ticket": true, "sid": true, "otp": true}

// generic names hold everything, and so say nothing of what they hold.
var generic = map[string]bool{
	"": true, "data": true, "result": true, "results": true, "list": true, "content": true, "payload": true, "response": true,
	"body": true, "records": true, "rows": true, "attributes": true, "edges": true, "node": true, "nodes": true, "object": true,
	"entity": true, "resource": true,
}

// A namer makes meanings without allocating.
type namer struct{ a, b []byte }

// split takes a key apart: itemId, item_id and item-id are item and id. Both are in lower case.
func (n *namer) split(key []byte) (owner, what []byte) {
	at := 0
	for i := len(key) - 1; i > 0; i-- {
		if kindOf(key[i]) == other {
			at = i + 1
			break
		}
		if kindOf(key[i]) == capital && kindOf(key[i-1]) != capital {
			at = i
			break
		}
	}
	n.a, n.b = n.a[:0], n.b[:0]
	for _, c := range key[:at] {
		if kindOf(c) != other {
			n.a = append(n.a, lower(c))
		}
	}
	for _, c := range key[at:] {
		n.b = append(n.b, lower(c))
	}
	if what = n.b; !idWords[string(what)] && len(what) > 1 && what[len(what)-1] == 's' { // ids
		what = what[:len(what)-1]
	}
	return n.a, what
}

// of are the meanings of a value under key, in an object that stands under parent, in a message about
// resource: the first that says whose it is, and without one both guesses.
func (n *namer) of(key, parent, resource []byte) (first, second meaning) {
	owner, what := n.split(key)
	if !idWords[string(what)] {
		return 0, 0
	}
	w := hash(what)
	if len(owner) > 0 {
		return join(singular(owner), w), 0
	}
	if ownWords[string(what)] {
		return join(0, w), 0
	}
	if len(resource) > 0 {
		second = join(n.word(resource), w)
	}
	if p := n.lower(parent); !generic[string(p)] {
		first = join(singular(p), w)
	}
	if first == 0 || first == second {
		return second, 0
	}
	return first, second
}

var hashID = hash([]byte("id"))

// inPath is the meaning of a path segment that follows another.
func (n *namer) inPath(before []byte) meaning {
	if len(before) == 0 {
		return 0
	}
	return join(n.word(before), hashID)
}

func (n *namer) lower(b []byte) []byte {
	n.a = n.a[:0]
	for _, c := range b {
		if kindOf(c) != other {
			n.a = append(n.a, lower(c))
		}
	}
	return n.a
}

func (n *namer) word(b []byte) uint64 { return singular(n.lower(b)) }

// singular is the hash of a noun in lower case without its plural.
func singular(b []byte) uint64 {
	switch l := len(b); {
	case bytes.HasSuffix(b, []byte("ies")) && l > 4:
		return mix(hash(b[:l-3]) ^ 'y')
	case bytes.HasSuffix(b, []byte("sses")), bytes.HasSuffix(b, []byte("xes")), bytes.HasSuffix(b, []byte("ches")), bytes.HasSuffix(b, []byte("shes")):
		return hash(b[:l-2])
	case l > 2 && b[l-1] == 's' && b[l-2] != 's':
		return hash(b[:l-1])
	case l > 1 && b[l-1] == 'y':
		return mix(hash(b[:l-1]) ^ 'y')
	}
	return hash(b)
}

func join(owner, what uint64) meaning { return meaning(mix(owner+mix(what)) | 1) }

// resource is the last segment of a path that is a word and not a value or a version.
//
//	/api/v1/carts/5/items/7?x=1  items
func resource(target []byte) []byte {
	path, _, _ := bytes.Cut(target, []byte("?"))
	for len(path) > 0 {
		at := bytes.LastIndexByte(path, '/')
		if s := path[at+1:]; isWord(s) {
			return s
		}
		path = path[:max(at, 0)]
	}
	return nil
}

// isWord reports whether a path segment names a kind of thing and not one of them.
func isWord(s []byte) bool {
	if len(s) == 0 {
		return false
	}
	for _, c := range s {
		if k := kindOf(c); k == digit || k == other && c != '-' && c != '_' {
			return false
		}
	}
	return classify(s) != strong
}

// ofHeader is the meaning of a header that is sent back under the name it came with, and ofCookie that of a
// cookie.
func ofHeader(name []byte) meaning { return meaning(mix(hashFold(name)^placeHeader) | 1) }
func ofCookie(name []byte) meaning { return meaning(mix(hash(name)^placeCookie) | 1) }

var (
	ofETag     = ofHeader([]byte("etag"))
	ofModified = ofHeader([]byte("last-modified"))
)
