using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tests.ObjectStores;

public sealed class ObjectStoreFactoryTests
{
    [Theory]
    [InlineData("s3://bucket", "", null, null, false)]
    [InlineData("s3://bucket/", "", null, null, false)]
    [InlineData("s3://bucket/a/b?region=eu-central-1", "a/b/", null, "eu-central-1", false)]
    [InlineData("s3://bucket/a/?endpoint=http://127.0.0.1:8100", "a/", "http://127.0.0.1:8100/", null, true)]
    [InlineData("s3://bucket?endpoint=https%3A%2F%2Fs3.tld&path-style=false", "", "https://s3.tld/", null, false)]
    public void An_s3_url_is_read(string url, string prefix, string? endpoint, string? region, bool pathStyle)
    {
        S3StoreOptions options = S3StoreOptions.Parse(url);
        Assert.Equal("bucket", options.Bucket);
        Assert.Equal(prefix, options.Prefix);
        Assert.Equal(endpoint, options.Endpoint?.AbsoluteUri);
        Assert.Equal(region, options.Region);
        Assert.Equal(pathStyle, options.PathStyle);
    }

    [Theory]
    [InlineData("s3://bucket?regoin=x", "'regoin'", "region")]
    [InlineData("s3://bucket?endpoint=127.0.0.1:8100", "'127.0.0.1:8100'", "http://")]
    [InlineData("s3://bucket?path-style=yes", "'yes'", "true or false")]
    [InlineData("s3://bucket?region=a&region=b", "'region'", "twice")]
    [InlineData("s3://bucket?region=", "region", "eu-central-1")]
    [InlineData("s3://b", "'b'", "3 to 63")]
    [InlineData("s3://", "''", "bucket")]
    [InlineData("s3://bucket/../x", "'../x'", "prefix")]
    [InlineData("s3://key:secret@bucket/x", "credentials", "AWS_ACCESS_KEY_ID")]
    [InlineData("http://bucket", "'http://bucket'", "file:///")]
    [InlineData("/var/lib/store", "'/var/lib/store'", "file:///")]
    [InlineData("file://relative/dir", "'file://relative/dir'", "file:///")]
    [InlineData("file:///dir?x=1", "query", "file:///")]
    [InlineData("file:///", "root", "file:///")]
    [InlineData("", "''", "s3://")]
    public void A_wrong_url_is_refused_with_what_is_wrong_and_what_is_allowed(string url, string wrong, string allowed)
    {
        ObjectStoreException failure = Assert.Throws<ObjectStoreException>(
            () => ObjectStoreFactory.Open(url, TimeProvider.System, NullLoggerFactory.Instance));
        Assert.Equal(ObjectStoreErrorKind.Invalid, failure.Kind);
        Assert.Contains(wrong, failure.Message, StringComparison.Ordinal);
        Assert.Contains(allowed, failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret@", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Both_kinds_of_store_are_opened()
    {
        string directory = Directory.CreateTempSubdirectory("zeroflow-open-").FullName;
        try
        {
            await using IObjectStore file = Open($"file://{directory}/store");
            await using IObjectStore s3 = Open("s3://bucket/p?endpoint=http://127.0.0.1:9");
            Assert.Equal($"file://{directory}/store", file.Location);
            Assert.Equal("s3://bucket/p/ at http://127.0.0.1:9", s3.Location);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static IObjectStore Open(string url) =>
        ObjectStoreFactory.Open(url, TimeProvider.System, NullLoggerFactory.Instance);
}
