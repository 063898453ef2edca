package testkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// UseItems does what one user of Items does, over a connection of its own, and returns the number of
// requests. Every answer must be a 2xx.
func UseItems(addr, user string) (requests int, err error) {
	u := itemsUser{base: "http://" + addr, client: &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}}
	defer u.client.CloseIdleConnections()
	err = u.run(user)
	return u.requests, err
}

type itemsUser struct {
	base     string
	client   *http.Client
	requests int

	token, csrf, cookie string
}

type itemAnswer struct {
	ID, ETag    string
	AccessToken string `json:"access_token"`
	CSRF        string
	Items       []itemAnswer
	Note        struct{ ID int }

	location, page string
}

var hiddenCSRF = regexp.MustCompile(`hidden" value='([^']+)'`)

func (u *itemsUser) run(user string) error {
	in, err := u.do("POST", "/login", fmt.Sprintf(`{"user":%q,"password":"correct horse"}`, user))
	if err != nil {
		return err
	}
	u.token, u.csrf = in.AccessToken, in.CSRF
	first, err := u.do("POST", "/items", `{"name":"cup"}`, "Idempotency-Key", user+"-cup")
	if err != nil {
		return err
	}
	if _, err = u.do("POST", "/items", `{"name":"jug"}`, "Idempotency-Key", user+"-jug"); err != nil {
		return err
	}
	read, err := u.do("GET", first.location, "")
	if err != nil {
		return err
	}
	if _, err = u.do("PUT", first.location, fmt.Sprintf(`{"id": %q, "name": "mug"}`, read.ID), "If-Match", read.ETag); err != nil {
		return err
	}
	page, err := u.do("GET", "/form", "")
	if err != nil {
		return err
	}
	hidden := hiddenCSRF.FindStringSubmatch(page.page)
	if hidden == nil {
		return fmt.Errorf("no csrf token in %q", page.page)
	}
	form := url.Values{"csrf": {hidden[1]}, "item_id": {read.ID}, "text": {"a note"}}
	note, err := u.do("POST", first.location+"/notes", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if err != nil {
		return err
	}
	if _, err = u.do("GET", fmt.Sprintf("%s/notes/%d", first.location, note.Note.ID), ""); err != nil {
		return err
	}
	list, err := u.do("GET", "/items?user="+url.QueryEscape(user), "")
	if err != nil {
		return err
	}
	if len(list.Items) != 2 {
		return fmt.Errorf("%d items, not 2", len(list.Items))
	}
	for _, it := range list.Items {
		if _, err = u.do("DELETE", "/items/"+it.ID, "", "If-Match", `"`+it.ETag+`"`); err != nil {
			return err
		}
	}
	_, err = u.do("POST", "/logout", "")
	return err
}

func (u *itemsUser) do(method, path, body string, headers ...string) (*itemAnswer, error) {
	u.requests++
	r, err := http.NewRequest(method, u.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if u.token != "" {
		r.Header.Set("Authorization", "Bearer "+u.token)
		r.Header.Set("X-CSRF-Token", u.csrf)
		r.Header.Set("Cookie", "sid="+u.cookie)
	}
	r.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := u.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s %s %w", method, path, answer.Status, text, err)
	}
	for _, c := range answer.Cookies() {
		u.cookie = c.Value
	}
	a := &itemAnswer{page: string(text)}
	if bytes.HasPrefix(text, []byte("{")) {
		if err := json.Unmarshal(text, a); err != nil {
			return nil, err
		}
	}
	a.location = answer.Header.Get("Location")
	if tag := answer.Header.Get("ETag"); tag != "" {
		a.ETag = tag
	}
	return a, nil
}
