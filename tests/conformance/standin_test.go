package conformance

import (
	"context"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// standInEnv makes the test's binary play the suite's: it knows what that is told, and nothing else.
const standInEnv = "LARDER_SUITE_STAND_IN"

// standInCases are as the suite's later form writes them: a name, a request in terms of the environment, the status wanted.
var standInCases = []struct {
	name, method, path string
	status             int
}{
	{"OCI Conformance Test/ping", "GET", "/v2/", 200},
	{"OCI Conformance Test/empty/tag list", "GET", "/v2/${OCI_NAMESPACE}/tags/list", 200},
	{"OCI Conformance Test/empty/referrers", "GET", "/v2/${OCI_NAMESPACE}/referrers/{unknown}", 200},
	{"OCI Conformance Test/read-only/head/manifest-head-by-tag", "HEAD", "/v2/${OCI_NAMESPACE}/manifests/${OCI_TAG_NAME}", 200},
	{"OCI Conformance Test/read-only/pull/manifest-by-digest", "GET", "/v2/${OCI_NAMESPACE}/manifests/${OCI_MANIFEST_DIGEST}", 200},
	{"OCI Conformance Test/read-only/pull/blob-get", "GET", "/v2/${OCI_NAMESPACE}/blobs/${OCI_BLOB_DIGEST}", 200},
	{"OCI Conformance Test/missing-manifest/by-digest", "GET", "/v2/${OCI_NAMESPACE}/manifests/{unknown}", 404},
	{"OCI Conformance Test/missing-manifest/by-tag", "GET", "/v2/${OCI_NAMESPACE}/manifests/{unknown-tag}", 404},
	{"OCI Conformance Test/invalid-digest-format/manifest-get", "GET", "/v2/${OCI_NAMESPACE}/manifests/sha256:baddigeststring", 400},
}

func runStandIn() int {
	var cases strings.Builder
	for _, c := range standInCases {
		status := "failure"
		path := new(content).fill(os.ExpandEnv(c.path))
		if got, err := exchange(context.Background(), os.Getenv("OCI_ROOT_URL"), c.method, path); err == nil && got.StatusCode == c.status {
			status = "passed"
		}
		cases.WriteString(`<testcase name="` + c.name + `" status="` + status + `"></testcase>`)
	}
	cases.WriteString(`<testcase name="OCI Conformance Test/read-only/push" status="skipped"></testcase>`)
	report := "<testsuites><testsuite>" + cases.String() + "</testsuite></testsuites>"
	if err := os.WriteFile(filepath.Join(os.Getenv("OCI_RESULTS_DIR"), "junit.xml"), []byte(report), 0o644); err != nil {
		return 2
	}
	return 1 // as the suite does where it skips a case
}

// TestSuite_TheRunnerItself runs what make conformance runs, with this test's own binary in place of the suite's.
func TestSuite_TheRunnerItself(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(standInEnv, "yes")
	s := newSite(t, newContent(t), everyTagChecked)
	s.inEveryState(t, func(t *testing.T, st state) {
		rep, out := s.runSuite(t, self)
		if n := len(rep.cases()); n != len(standInCases) {
			t.Errorf("%d cases were run, want %d", n, len(standInCases))
		}
		var fails []string
		if st.refused != 0 {
			fails = suiteNeverSeen
			if rep.judge(nil) == nil {
				t.Error("nothing failed with an origin that fails")
			}
		} else if rep.judge(suiteNeverSeen) == nil {
			t.Error("what may fail, and did not, went unnoticed")
		}
		if err := rep.judge(fails); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

func TestReport_Judge(t *testing.T) {
	t.Parallel()
	const ginkgo = `<testsuites><testsuite name="conformance.test">
		<testcase name="[It] Tests Pull Setup Populate registry with test blob" status="skipped"><skipped message="skipped"/></testcase>
		<testcase name="[It] Tests Pull Pull blobs GET request to existing blob URL should yield 200" status="passed"/>
		<testcase name="[It] Tests Pull Pull blobs GET nonexistent blob should result in 404 response" status="failed"><failure message="no"/></testcase>
		<testcase name="[ReportAfterSuite] custom html reporter" status="passed"/>
		</testsuite></testsuites>`
	tests := map[string]struct {
		content string
		fails   []string
		want    string // in the error; empty: none
	}{
		"As listed":                 {ginkgo, suiteNeverSeen, ""},
		"A failure not listed":      {ginkgo, nil, "failed: [It] Tests Pull Pull blobs GET nonexistent blob"},
		"A pass that is listed":     {ginkgo, []string{"URL should yield 200", "404 response"}, "should have failed: [It] Tests Pull Pull blobs GET request"},
		"An error":                  {`<testsuites><testsuite><testcase name="a" status="error"/></testsuite></testsuites>`, nil, "failed: a"},
		"A failure without status":  {`<testsuites><testsuite><testcase name="a"><failure/></testcase></testsuite></testsuites>`, nil, "failed: a"},
		"A panic":                   {`<testsuites><testsuite><testcase name="a" status="panicked"><error/></testcase></testsuite></testsuites>`, nil, "failed: a"},
		"Nothing run":               {`<testsuites></testsuites>`, nil, "no case was run"},
		"Everything skipped":        {`<testsuites><testsuite><testcase name="a" status="skipped"/></testsuite></testsuites>`, nil, "no case was run"},
		"Passed, without status":    {`<testsuites><testsuite><testcase name="a"/></testsuite></testsuites>`, nil, ""},
		"Passed, in the later form": {`<testsuites><testsuite><testcase name="a" status="passed"/></testsuite></testsuites>`, nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var rep report
			if err := xml.Unmarshal([]byte(tt.content), &rep); err != nil {
				t.Fatal(err)
			}
			err := rep.judge(tt.fails)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

// TestSuite_NeverSeenAgree holds that the suite's binary is excused from nothing that our own cases are not.
func TestSuite_NeverSeenAgree(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, name := range neverSeen {
		known[name] = true
	}
	for _, name := range suiteNeverSeen {
		if !known[name] {
			t.Errorf("%q is excused for the suite's binary alone", name)
		}
	}
}
