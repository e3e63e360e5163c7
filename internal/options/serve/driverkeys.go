package serve

// form is what the value of a driver's key has to be.
type form struct {
	hint string
	fits func(value any) bool
	keys map[string]form // of a mapping; nil: any
}

var (
	text    = form{hint: "a string", fits: isText}
	folder  = form{hint: "the path of a folder", fits: is[string]}
	number  = form{hint: "a whole number", fits: is[int64]}
	truth   = form{hint: "true or false", fits: is[bool]}
	mapping = form{hint: "a mapping", fits: is[map[string]any]}
)

func is[T any](value any) bool {
	_, ok := value.(T)
	return ok
}

// isText takes a bucket or a key of digits alone for what it is.
func isText(value any) bool { return is[string](value) || is[int64](value) }

// driverKeys are the keys that distribution's storage drivers read. The drivers themselves say nothing of a key that they do not
// know, and so of one that is misspelt.
var driverKeys = map[string]map[string]form{
	filesystemDriver: {rootDirectory: folder, "maxthreads": number},
	"s3": {
		"accesskey": text, "secretkey": text, "region": text, "regionendpoint": text, "bucket": text, rootDirectory: text,
		"storageclass": text, "objectacl": text, "keyid": text, "useragent": text, "redirectendpoint": text,
		"loglevel":       {hint: "a string", fits: func(value any) bool { return is[string](value) || value == false }}, // off
		"forcepathstyle": truth, "encrypt": truth, "secure": truth, "skipverify": truth, "v4auth": truth, "accelerate": truth,
		"usedualstack": truth, "usefipsendpoint": truth,
		"chunksize": number, "multipartcopychunksize": number, "multipartcopymaxconcurrency": number,
		"multipartcopythresholdsize": number,
	},
	"gcs": {
		"bucket": text, rootDirectory: text, "useragent": text, keyFile: text, credentials: mapping,
		"chunksize": number, "maxconcurrency": number,
	},
	"azure": {
		"accountname": text, "accountkey": text, "container": text, "connectionstring": text, "realm": text, "serviceurl": text,
		rootDirectory: text, "max_retries": number, "retry_delay": text, "skipverify": truth,
		credentials: {hint: mapping.hint, fits: mapping.fits, keys: map[string]form{
			"type": text, "clientid": text, "tenantid": text, "secret": text,
		}},
	},
}

// required lists the keys without which a driver does not start.
func required(driver string, parameters map[string]any) []string {
	switch driver {
	case "s3":
		if parameters["regionendpoint"] != nil {
			return []string{"bucket"}
		}
		return []string{"bucket", "region"}
	case "gcs":
		return []string{"bucket"}
	case "azure":
		return []string{"accountname", "container"}
	}
	return nil
}
