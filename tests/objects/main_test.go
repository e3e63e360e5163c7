package objects

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
	"github.com/larder-dev/larder/tests/s3"
)

var server *s3.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if server, err = s3.Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "starting an S3 server:", err)
		return 1
	}
	defer server.Stop()
	return process.Main(m)
}

// replica starts larder serve on a bucket, in a data folder of its own.
func replica(t *testing.T, o *origin.Origin, endpoint, bucket string, config ...string) *process.Larder {
	t.Helper()
	return process.New(t, o, append(config, storage(endpoint, bucket))...)
}

func storage(endpoint, bucket string) string {
	return fmt.Sprintf("storage: {s3: {accesskey: %s, secretkey: %s, region: %s, regionendpoint: '%s', bucket: %s, forcepathstyle: true, secure: false}}",
		s3.AccessKey, s3.SecretKey, s3.Region, endpoint, bucket)
}
