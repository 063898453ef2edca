package traffic

// A Filter decides about exchanges. Its two halves never block. A chain of filters is built once per
// configuration and used by many loops at once, so a Filter keeps what is its own behind atomics.
//
// For every call of Request there is exactly one call of Response, in reverse order of the chain, also
// when the client hung up or a filter further down replied. Filters below one that replied see neither.
type Filter interface {
	// Request is called when the head of the request is complete. The zero Action lets x go on.
	Request(x *Exchange) Action
	// Response is called when the exchange is over; x.Response and x.Flags say how it ended.
	Response(x *Exchange)
}

// A BodyFilter also sees the bytes of bodies as they pass, transfer coding removed. The chain asks for
// this ability once, when it is built. b is valid until the call returns.
type BodyFilter interface {
	Filter
	RequestBody(x *Exchange, b []byte)
	ResponseBody(x *Exchange, b []byte)
}
