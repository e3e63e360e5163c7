package origin

import (
	"context"
	"net/http"
	"time"
)

// counted wraps w: what is written is counted, and goes out at rate bytes per second.
func (o *origin) counted(w http.ResponseWriter, r *http.Request, rate int64) http.ResponseWriter {
	p := &paced{ResponseWriter: w, ctx: r.Context(), rate: rate, start: time.Now(), count: func(int) {}}
	if r.Method == http.MethodGet {
		p.count = func(n int) { o.count(r.URL.Path, n) }
	}
	return p
}

// paced has no ReadFrom on purpose: a transfer by sendfile could be neither counted nor paced.
type paced struct {
	http.ResponseWriter
	ctx   context.Context
	rate  int64
	start time.Time
	sent  int64
	count func(n int)
}

func (p *paced) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		piece := b[written:]
		if p.rate > 0 {
			piece = piece[:min(int64(len(piece)), max(p.rate/100, 1))]
			if err := p.wait(); err != nil {
				return written, err
			}
		}
		n, err := p.ResponseWriter.Write(piece)
		written += n
		p.sent += int64(n)
		p.count(n)
		if err != nil {
			return written, err
		}
		if p.rate > 0 {
			_ = http.NewResponseController(p.ResponseWriter).Flush() // a broken connection shows at the next write
		}
	}
	return written, nil
}

// wait returns when the next byte is due. A late one is caught up with: the rate holds on average.
func (p *paced) wait() error {
	due := p.start.Add(time.Duration(float64(p.sent) / float64(p.rate) * float64(time.Second)))
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}
