package conformance

import (
	"encoding/xml"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/process"
)

// suiteEnv names the suite's own binary.
const suiteEnv = "CONFORMANCE"

const suiteHelp = `set CONFORMANCE to the binary of the OCI conformance suite, which the module proxy does not serve:

    git clone https://github.com/opencontainers/distribution-spec
    cd distribution-spec/conformance && go test -c    # version 1.1; the later form: go build -o conformance.test .
    make conformance CONFORMANCE=.../distribution-spec/conformance/conformance.test`

// suiteNeverSeen are the suite's cases that fail while the origin does, by the ends of their names: like [neverSeen], but what
// version 1.1 calls nonexistent has one digest for ever. Its list of referrers was seen, and is served; nothing is kept of its blob.
var suiteNeverSeen = []string{
	"HEAD request to nonexistent blob should result in 404 response",
	"GET nonexistent blob should result in 404 response",
	"empty/referrers",
	"missing-manifest/by-digest",
	"missing-manifest/by-tag",
}

// suiteReadOnly are the cases that no registry passes in read-only mode: they need what the suite itself would have pushed. Given
// a manifest's digest, version 1.1 takes it for the missing one too, and wants a single referrer where it has wanted five.
var suiteReadOnly = []string{
	"(listing references) GET request to missing manifest should yield 200",
}

// TestSuite runs the suite's binary in the four states. Its own verdict is that of the cases: read-only mode skips most of them.
func TestSuite(t *testing.T) {
	binary := os.Getenv(suiteEnv)
	if binary == "" {
		t.Skip(suiteHelp)
	}
	if _, err := exec.LookPath(binary); err != nil {
		t.Fatalf("%v\n%s", err, suiteHelp)
	}
	forEveryOrigin(t, func(t *testing.T, c *content) {
		s := newSite(t, c, everyTagChecked)
		s.inEveryState(t, func(t *testing.T, st state) {
			fails := suiteReadOnly
			if st.refused != 0 {
				fails = slices.Concat(suiteReadOnly, suiteNeverSeen)
			}
			rep, out := s.runSuite(t, binary)
			if err := rep.judge(fails); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Logf("%s", rep)
		})
	})
}

// runSuite runs the suite in read-only mode, and returns its report and what it said.
func (s *site) runSuite(t *testing.T, binary string) (report, []byte) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), s.suiteEnv(dir)...)
	out, err := cmd.CombinedOutput() // the exit code says only that something failed or was skipped
	content, readErr := readReport(dir)
	if readErr != nil {
		t.Fatalf("the suite left no report: %v, %v\n%s", err, readErr, out)
	}
	var rep report
	if err := xml.Unmarshal(content, &rep); err != nil {
		t.Fatalf("reading the suite's report: %v\n%s", err, content)
	}
	return rep, out
}

// suiteEnv is the suite's configuration, in the variables of version 1.1; the later form reads them too, and those after the gap.
func (s *site) suiteEnv(dir string) []string {
	return []string{
		"OCI_ROOT_URL=http://" + s.larder.Addr,
		"OCI_NAMESPACE=" + process.Host + "/" + repository,
		"OCI_TEST_PULL=1", "OCI_TEST_CONTENT_DISCOVERY=1", "OCI_TEST_PUSH=0", "OCI_TEST_CONTENT_MANAGEMENT=0",
		"OCI_TAG_NAME=" + tag,
		"OCI_TAG_LIST=" + strings.Join(s.tags, ","),
		"OCI_MANIFEST_DIGEST=" + s.image.Digest.String(),
		"OCI_BLOB_DIGEST=" + s.image.Blobs[0].Digest.String(),
		"OCI_REPORT_DIR=" + dir,

		"OCI_RO_DATA_REFERRERS=" + s.image.Digest.String() + " " + s.missing.String(),
		"OCI_API_BLOBS_DIGEST_HEADER=true", "OCI_API_MANIFESTS_DIGEST_HEADER=true",
		"OCI_RESULTS_DIR=" + dir,
	}
}

// readReport finds the report: older versions write it where they were started.
func readReport(dir string) ([]byte, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.xml"))
	if err != nil || len(found) == 0 {
		return nil, fs.ErrNotExist
	}
	return os.ReadFile(found[0])
}

// report is what both forms of the suite write for JUnit.
type report struct {
	Suites []struct {
		Cases []reported `xml:"testcase"`
	} `xml:"testsuite"`
}

type reported struct {
	Name    string    `xml:"name,attr"`
	Status  string    `xml:"status,attr"`
	Skipped *struct{} `xml:"skipped"`
	Failure *struct{} `xml:"failure"`
	Error   *struct{} `xml:"error"`
}

func (r reported) skipped() bool {
	return r.Skipped != nil || r.Status == "skipped" || r.Status == "pending"
}

func (r reported) passed() bool {
	return r.Failure == nil && r.Error == nil && (r.Status == "passed" || r.Status == "")
}

func (r report) cases() []reported {
	var all []reported
	for _, suite := range r.Suites {
		for _, c := range suite.Cases {
			// Ginkgo lists its own set-up among the cases.
			if !c.skipped() && !strings.HasPrefix(c.Name, "[ReportAfterSuite]") && !strings.HasPrefix(c.Name, "[BeforeSuite]") {
				all = append(all, c)
			}
		}
	}
	return all
}

func (r report) String() string {
	var b strings.Builder
	for _, c := range r.cases() {
		fmt.Fprintf(&b, "%-8s %s\n", c.Status, c.Name)
	}
	return b.String()
}

// judge demands that exactly those cases failed whose names end so.
func (r report) judge(fails []string) error {
	var wrong []string
	cases := r.cases()
	for _, c := range cases {
		must := slices.ContainsFunc(fails, func(end string) bool { return strings.HasSuffix(c.Name, end) })
		switch {
		case must && c.passed():
			wrong = append(wrong, "passed, and should have failed: "+c.Name)
		case !must && !c.passed():
			wrong = append(wrong, "failed: "+c.Name)
		}
	}
	if len(cases) == 0 {
		wrong = append(wrong, "no case was run")
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("of %d cases:\n%s", len(cases), strings.Join(wrong, "\n"))
}
