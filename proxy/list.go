package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/larder-dev/larder/internal/ocipath"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tagList is the body of a tags list.
type tagList struct {
	Name string   `json:"name"` // as the client asked it
	Tags []string `json:"tags"`
}

func (h *Handler) serveTags(w http.ResponseWriter, r *http.Request, req *request) error {
	pg, err := parsePage(req.query)
	if err != nil {
		return err
	}
	all, outcome, err := h.names.Tags(r.Context(), req.repo)
	tell(w, outcome)
	if err != nil {
		return err
	}
	shown, more := pg.of(all)
	if more {
		w.Header().Set("Link", "<"+nextPage(req, pg.n, shown[len(shown)-1])+`>; rel="next"`)
	}
	return writeJSON(w, r, inJSON, tagList{Name: req.Name, Tags: shown})
}

// page is which of the tags a client wants.
type page struct {
	n    int    // at most so many; < 0: all
	last string // only those after it, in lexical order
}

func parsePage(query string) (page, error) {
	pg := page{n: -1}
	pg.last, _ = ocipath.QueryValue(query, "last")
	s, given := ocipath.QueryValue(query, "n")
	if !given {
		return pg, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return page{}, refusal(http.StatusBadRequest, codePaginationInvalid, "n must be a number from 0 on, not %q", s)
	}
	pg.n = n
	return pg, nil
}

// of returns the page of all, never nil, and whether another one follows. No tags were asked for with n=0, and then no
// page follows.
func (p page) of(all []string) (shown []string, more bool) {
	if !slices.IsSorted(all) {
		all = slices.Sorted(slices.Values(all))
	}
	if p.last != "" {
		i, found := slices.BinarySearch(all, p.last)
		if found {
			i++
		}
		all = all[i:]
	}
	if p.n >= 0 && p.n < len(all) {
		all, more = all[:p.n], true
	}
	if len(all) == 0 {
		return []string{}, false
	}
	return all, more
}

// nextPage is the address of the page after last, relative to the host as the client sees it.
func nextPage(req *request, n int, last string) string {
	query := url.Values{"n": {strconv.Itoa(n)}, "last": {last}}
	if req.ns != "" {
		query.Set("ns", req.ns)
	}
	return (&url.URL{Path: "/v2/" + req.Name + "/tags/list", RawQuery: query.Encode()}).String()
}

func (h *Handler) serveReferrers(w http.ResponseWriter, r *http.Request, req *request) error {
	dgst, err := checkDigest(req.Reference)
	if err != nil {
		return err
	}
	all, outcome, err := h.names.Referrers(r.Context(), req.repo, dgst)
	tell(w, outcome)
	if err != nil {
		return err
	}
	if artifactType, _ := ocipath.QueryValue(req.query, "artifactType"); artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
		all = slices.DeleteFunc(slices.Clone(all), func(d ocispec.Descriptor) bool { return d.ArtifactType != artifactType })
	}
	return writeJSON(w, r, inIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: append([]ocispec.Descriptor{}, all...), // "[]", never "null"
	})
}

func writeJSON(w http.ResponseWriter, r *http.Request, mediaType []string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding answer: %w", err)
	}
	c := listed(mediaType, body)
	if !settled(w, r, c) {
		writeBody(w, r, c, body)
	}
	return nil
}
