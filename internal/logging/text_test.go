package logging

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestTextEncoder_WritesWhatZapsConsoleEncoderWrites(t *testing.T) {
	t.Parallel()
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02T15:04:05.000Z07:00")
	fields := []zapcore.Field{zap.String("repository", "a\t\"b\""), zap.Int("status", 200)}
	moment := time.Date(2026, 1, 2, 3, 4, 5, 6_999_999, time.UTC)
	for name, test := range map[string]struct {
		entry  zapcore.Entry
		fields []zapcore.Field
		with   []zapcore.Field
	}{
		"A line with fields":       {entry: zapcore.Entry{Time: moment, Message: "request"}, fields: fields},
		"A line without":           {entry: zapcore.Entry{Time: moment, Message: "stopping"}},
		"A name":                   {entry: zapcore.Entry{Time: moment, LoggerName: "access", Message: "request"}, fields: fields},
		"An error":                 {entry: zapcore.Entry{Time: moment, Level: zapcore.ErrorLevel, Message: "fault"}, fields: fields},
		"Fields of every line":     {entry: zapcore.Entry{Time: moment, Message: "request"}, fields: fields, with: fields},
		"No milliseconds":          {entry: zapcore.Entry{Time: moment.Truncate(time.Second), Message: "request"}},
		"Many milliseconds":        {entry: zapcore.Entry{Time: moment.Add(980 * time.Millisecond), Message: "request"}},
		"A zone east of Greenwich": {entry: zapcore.Entry{Time: moment.In(time.FixedZone("", 19800)), Message: "request"}},
		"A zone west of it":        {entry: zapcore.Entry{Time: moment.In(time.FixedZone("", -12600)), Message: "request"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines [2]string
			for i, encoder := range []zapcore.Encoder{zapcore.NewConsoleEncoder(config), newTextEncoder(config)} {
				encoder = encoder.Clone()
				for _, f := range test.with {
					f.AddTo(encoder)
				}
				line, err := encoder.EncodeEntry(test.entry, test.fields)
				if err != nil {
					t.Fatal(err)
				}
				lines[i] = line.String()
			}
			if diff := cmp.Diff(lines[0], lines[1]); diff != "" {
				t.Errorf("zap's line (-), ours (+):\n%s", diff)
			}
		})
	}
}
