package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/traffic"
)

// A laneConn is one connection of a client in a lane, without what http.Client does beside.
type laneConn struct {
	conn net.Conn
	in   *bufio.Reader
	head []byte
}

func dialLane(ctx context.Context, addr string, lane traffic.Color) (*laneConn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &laneConn{conn, bufio.NewReader(conn), fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: bench\r\nx-lane: %s\r\n\r\n", lane)}, nil
}

func (c *laneConn) close() { _ = c.conn.Close() } // what was measured has come

// ask sends one request and reads its answer.
func (c *laneConn) ask() (status int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(c.head); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// hold arms a fault at one proxy and renews it, until release ends it and says what it did.
func (s *site) hold(ctx context.Context, l injector.Lease) (release func() (injector.Status, error), err error) {
	if _, err := s.client.Add(ctx, l); err != nil {
		return nil, err
	}
	renewing, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		for {
			select {
			case <-time.After(time.Second):
				if _, err := s.client.Renew(renewing, l.ID); err != nil && renewing.Err() == nil {
					done <- err
					return
				}
			case <-renewing.Done():
				done <- nil
				return
			}
		}
	}()
	return func() (injector.Status, error) {
		stop()
		if err := <-done; err != nil {
			return injector.Status{}, err
		}
		return s.client.Remove(ctx, l.ID)
	}, nil
}
