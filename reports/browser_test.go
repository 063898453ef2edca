package reports

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// faultsOfLayout lists what a reader would stumble over: a page wider than the screen, text that has no
// size, leaves its figure or covers other text.
const faultsOfLayout = `(() => {
  const out = [];
  if (document.scrollingElement.scrollWidth > innerWidth) 
    for (const e of document.querySelectorAll("main *"))
      if (!e.closest(".scroll") && !e.closest("svg") && e.getBoundingClientRect().right > innerWidth + 1) out.push("too wide: " + e.tagName + " " + e.textContent.slice(0, 80));
  if (document.scripts.length) out.push("page has scripts");
  let figures = 0;
  for (const svg of document.querySelectorAll("svg.chart")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue; // the other width of the same figure
    figures++;
    const seen = [];
    for (const t of svg.querySelectorAll("text")) {
      const b = t.getBoundingClientRect(), say = svg.getAttribute("aria-label") + ": " + JSON.stringify(t.textContent);
      if (b.width < 2 || b.height < 4) out.push(say + " has no size");
      if (b.left < frame.left - 1 || b.right > frame.right + 1 || b.top < frame.top - 2 || b.bottom > frame.bottom + 2) out.push(say + " leaves its figure");
      if (t.classList.contains("mark")) continue; // marks sit on lines that may meet
      for (const [o, text] of seen)
        if (Math.min(b.right, o.right) - Math.max(b.left, o.left) > 2 && Math.min(b.bottom, o.bottom) - Math.max(b.top, o.top) > 4)
          out.push(say + " covers " + JSON.stringify(text));
      seen.push([b, t.textContent]);
    }
  }
  return {figures, faults: out};
})()`

type layout struct {
	Figures int      `json:"figures"`
	Faults  []string `json:"faults"`
}

func TestLayoutInBrowser(t *testing.T) {
	var browser string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			browser = p
			break
		}
	}
	if browser == "" {
		t.Skip("no Chromium on this machine: layout is not looked at")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true))
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()

	views := []struct {
		name, media string
		width       int64
	}{{"wide", "screen", 1280}, {"tablet", "screen", 760}, {"phone", "screen", 390}, {"print", "print", 694}}
	all := map[string]func() *Run{"crowded": crowded}
	for name, run := range runs {
		all[name] = run
	}
	for name, run := range all {
		dir := t.TempDir()
		require.NoError(t, Write(dir, run()))
		for _, v := range views {
			_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: v.width, Height: 900, DeviceScaleFactor: 1})
			require.NoError(t, err)
			_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: v.media})
			require.NoError(t, err)
			require.NoError(t, chromedp.Do(ctx, chromedp.Navigate("file://"+filepath.Join(dir, HTMLFile))))
			if *out != "" {
				shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(*out, fmt.Sprintf("%s-%s.png", name, v.name)), shot, 0o644))
			}
			got, err := chromedp.Run(ctx, chromedp.Evaluate[layout](faultsOfLayout))
			require.NoError(t, err)
			require.Empty(t, got.Faults, "%s, %s", name, v.name)
			if name != "empty" {
				require.Positive(t, got.Figures)
			}
		}
	}
}

// crowded is demo with more of everything and longer names than a page has room for.
func crowded() *Run {
	r := failing()
	long := "a-service-with-quite-a-long-name-for-a-box-of-this-size"
	for i, lane := range []string{"blue", "green", "canary-7", "shadow", "nightly", "pull-request-1234567890", "drill", "extra"} {
		for _, s := range r.Traffic[1:2] {
			s.Lane = lane
			s.Seconds = s.Seconds[i : len(s.Seconds)-i]
			r.Traffic = append(r.Traffic, s)
		}
	}
	for i := range 12 {
		s := r.Traffic[0]
		s.Caller, s.Service = long, fmt.Sprintf("%s-%d", long, i)
		r.Traffic = append(r.Traffic, s)
	}
	for i := range 14 {
		from := time.Duration(i) * 4 * time.Second
		r.Faults = append(r.Faults, Fault{ID: fmt.Sprint("x", i), Kind: "latency", What: "of about a quarter of a second, more or less", Lane: "red", Service: long, From: from, To: from + time.Duration(i)*time.Second, Asked: .5})
		r.Steps = append(r.Steps, Step{Actor: long, Verb: "inject", Text: "latency of about a quarter of a second on " + long, At: from, For: 9 * time.Second, Began: from + time.Second, Ended: from + 8*time.Second, Outcome: StepDone})
	}
	r.Replays = append(r.Replays, Replay{Name: "nothing", Lane: long}, r.Replays[0])
	r.Repeat += " --with-a-flag-that-cannot-be-broken-anywhere-because-it-has-no-spaces-in-it-at-all=" + long + long
	r.Scenario += " " + long + long
	return r
}
