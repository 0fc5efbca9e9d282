using System.Globalization;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Live;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Host.Tests.Configuration;

public sealed class ServeSettingsTests
{
    [Fact]
    public void The_command_line_beats_the_environment_which_beats_the_file()
    {
        using SettingsSource source = SettingsSource.Complete()
            .Json("""
                {
                  "Store": "file:///from/file", "Data": "/from/file", "Listen": "127.0.0.1:1",
                  "Tuning": { "TableBytes": "1M", "UploadsInFlight": 3 }
                }
                """)
            .Variable("ZEROFLOW__TUNING__TABLEBYTES", "2M")
            .Variable("ZEROFLOW__LISTEN", "127.0.0.1:2")
            .Option("listen", "127.0.0.1:3");

        ServeSettings settings = source.Read();

        Assert.Equal("file:///srv/store", settings.StoreUrl);
        Assert.Equal("/srv/data", settings.DataDirectory);
        Assert.Equal(3, settings.Listen!.Port);
        Assert.Equal(2 << 20, settings.Tuning.TableBytes);
        Assert.Equal(3, settings.Tuning.UploadsInFlight);
    }

    // Stacked configuration providers would merge the two lists by index and keep "old2".
    [Fact]
    public void The_exports_of_a_layer_replace_those_of_the_layers_below_it()
    {
        using SettingsSource source = SettingsSource.Complete()
            .Json("""{ "Exports": ["old1:1G", "old2:2G:published"] }""");
        Assert.Equal(["old1", "old2"], source.Read().Exports.Select(e => e.Name));
        Assert.Equal(DurabilityLevel.Published, source.Read().Exports[1].Level);

        source.Option("Exports:0", "new:3G");

        Assert.Equal(["new"], source.Read().Exports.Select(e => e.Name));
    }

    [Fact]
    public void Exports_keep_their_order_beyond_nine_and_may_share_one_variable()
    {
        string[] names = [.. Enumerable.Range(0, 12).Select(i => $"d{i}")];
        using SettingsSource listed = SettingsSource.Complete();
        foreach (int i in Enumerable.Range(0, 12).Reverse()) listed.Option($"Exports:{i}", $"{names[i]}:1G");
        using SettingsSource joined = SettingsSource.Complete()
            .Variable("ZEROFLOW__EXPORTS", string.Join(", ", names.Select(name => $"{name}:1G")));

        Assert.Equal(names, listed.Read().Exports.Select(e => e.Name));
        Assert.Equal(names, joined.Read().Exports.Select(e => e.Name));
    }

    [Fact]
    public void Unknown_keys_are_errors_in_every_layer_and_never_show_their_value()
    {
        using SettingsSource source = SettingsSource.Complete()
            .Json("""{ "Stoer": "hunter2", "Tuning": { "Tabels": "hunter2" }, "Admin": { "Passwd": "hunter2" } }""")
            .Variable("ZEROFLOW__SECRETKEY", "hunter2")
            .Variable("ZEROFLOW__PASSPHRASE", "hunter2")
            .Option("Passphrase", "hunter2");

        IReadOnlyList<string> errors = source.ReadErrors();

        Assert.Equal(6, errors.Count);
        Assert.All(errors, error => Assert.DoesNotContain("hunter2", error, StringComparison.Ordinal));
        Assert.Single(errors, e => e.StartsWith("Stoer (file ", StringComparison.Ordinal) && e.Contains("Store,"));
        Assert.Single(errors, e => e.StartsWith("Tuning:Tabels", StringComparison.Ordinal) && e.Contains("TableBytes"));
        Assert.Equal(2, errors.Count(e => e.Contains("set the environment variable ZEROFLOW_PASSPHRASE")));
    }

    [Fact]
    public void A_null_or_empty_value_in_the_file_hides_no_unknown_key()
    {
        using SettingsSource source = SettingsSource.Complete()
            .Json("""{ "Stoer": null, "Dada": {}, "Exports": [] }""");
        Assert.Equal(2, source.ReadErrors().Count);
    }

    [Fact]
    public void All_errors_are_reported_together_with_key_value_origin_and_what_is_allowed()
    {
        using SettingsSource source = new SettingsSource()
            .Json("""{ "Tuning": { "ChunkBytes": "3000" } }""")
            .Variable("ZEROFLOW__TUNING__PUBLISHINTERVAL", "2w")
            .Option("Store", "ftp://x")
            .Option("Listen", "nowhere")
            .Option("Exports:0", "disk0:big")
            .Option("LogLevel", "loud");

        IReadOnlyList<string> errors = source.ReadErrors();

        Assert.Equal(8, errors.Count);
        AssertOne(errors, "Store (--option): must be file:///");
        AssertOne(errors, "Data is not set");
        AssertOne(errors, "Listen is \"nowhere\" (--option), but must be HOST:PORT");
        AssertOne(errors, "Exports is \"disk0:big\" (--option), but must be NAME:SIZE");
        AssertOne(errors, "There is no passphrase");
        AssertOne(errors, "Tuning:PublishInterval is \"2w\" (environment variable ZEROFLOW__TUNING__PUBLISHINTERVAL)");
        AssertOne(errors, "Tuning:ChunkBytes is \"3000\" (file ");
        AssertOne(errors, "LogLevel is \"loud\" (--option), but must be trace");
    }

    [Fact]
    public void A_key_spelled_with_one_underscore_is_an_error_and_foreign_variables_are_not()
    {
        using SettingsSource foreign = SettingsSource.Complete()
            .Variable("ZEROFLOW_TEST_DIR", "x").Variable("HOME", "x");
        Assert.NotNull(foreign.Read());

        foreign.Variable("ZEROFLOW_STORE", "file:///x");
        AssertOne(foreign.ReadErrors(), "ZEROFLOW__STORE, with two underscores");
    }

    [Fact]
    public void A_key_that_is_set_twice_in_one_layer_is_an_error()
    {
        using SettingsSource source = SettingsSource.Complete()
            .Option("Listen", "127.0.0.1:1").Option("listen", "127.0.0.1:2");
        AssertOne(source.ReadErrors(), "the key is also set by --option");
    }

    [Fact]
    public void Two_exports_of_one_name_are_an_error()
    {
        using SettingsSource source = SettingsSource.Complete().Option("Exports:0", "a:1G").Option("Exports:1", "a:2G");
        AssertOne(source.ReadErrors(), "must be the only export named a");
    }

    [Fact]
    public void A_file_that_is_named_must_exist_and_be_JSON()
    {
        using SettingsSource missing = SettingsSource.Complete().Config("other.json");
        AssertOne(missing.ReadErrors(), "\"other.json\", but must be a file that exists");

        using SettingsSource broken = SettingsSource.Complete()
            .Config("other.json").Json("{ \"Store\": ", "other.json");
        AssertOne(broken.ReadErrors(), "other.json cannot be read");
    }

    [Fact]
    public void The_named_file_is_read_instead_of_the_default_one()
    {
        using SettingsSource source = SettingsSource.Complete()
            .Json("""{ "Listen": "127.0.0.1:1" }""")
            .Json("""{ /* comments are fine */ "Listen": "127.0.0.1:2", }""", "other.json")
            .Config("other.json");
        Assert.Equal(2, source.Read().Listen!.Port);
    }

    [Theory]
    [InlineData("127.0.0.1:1", null, true)]
    [InlineData("[::1]:1", null, true)]
    [InlineData("0.0.0.0:1", null, false)]
    [InlineData("0.0.0.0:1", "false", false)]
    [InlineData("0.0.0.0:1", "true", true)]
    [InlineData("10.1.2.3:1", "yes", false)]
    public void The_admin_address_is_a_loopback_one_unless_that_is_allowed(string address, string? allow, bool isGood)
    {
        using SettingsSource source = SettingsSource.Complete().Option("Admin:Listen", address);
        if (allow is not null) source.Option("Admin:AllowRemote", allow);
        if (isGood) Assert.Equal(1, source.Read().AdminListen!.Port);
        else Assert.Contains(source.ReadErrors(), e => e.Contains("Admin:AllowRemote", StringComparison.Ordinal));
    }

    [Fact]
    public void Prices_are_S3_Standards_unless_they_are_set()
    {
        using SettingsSource source = SettingsSource.Complete().Option("Prices:Currency", "EUR").Variable("ZEROFLOW__PRICES__TRANSFERGIGABYTE", "0.09");
        PriceList prices = source.Read().Prices;
        Assert.Equal(new PriceList { Currency = "EUR", TransferGigabyte = 0.09 }, prices);
        Assert.Equal((0.005, 0.0004, 0.023), (prices.PutsPerThousand, prices.GetsPerThousand, prices.StorageGigabyteMonth));
    }

    [Theory]
    [InlineData("Prices:PutsPerThousand", "-1")]
    [InlineData("Prices:GetsPerThousand", "cheap")]
    [InlineData("Prices:StorageGigabyteMonth", "1e3")]
    [InlineData("Prices:TransferGigabyte", "NaN")]
    [InlineData("Prices:Currency", "a lot of money")]
    [InlineData("Admin:LiveToken", "perhaps")]
    public void A_price_that_is_none_is_told(string key, string value)
    {
        using SettingsSource source = SettingsSource.Complete().Option(key, value);
        Assert.Contains(source.ReadErrors(), error => error.StartsWith($"{key} is ", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("2026-11-28T12:30:00Z", "2026-11-28T12:30:00Z")]
    [InlineData("2026-11-28T12:30:00.250Z", "2026-11-28T12:30:00.250Z")]
    [InlineData("2026-11-28T13:30+01:00", "2026-11-28T12:30:00Z")]
    [InlineData("2026-11-28T07:30:00-05:00", "2026-11-28T12:30:00Z")]
    public void A_moment_has_a_zone(string text, string moment)
    {
        using SettingsSource source = SettingsSource.Complete().Option("AsOf", text);
        Assert.Equal(DateTimeOffset.Parse(moment, CultureInfo.InvariantCulture), source.Read().AsOf);
    }

    [Theory]
    [InlineData("2026-11-28T12:30:00")]
    [InlineData("2026-11-28")]
    [InlineData("yesterday")]
    [InlineData("")]
    public void Anything_else_is_no_moment(string text)
    {
        using SettingsSource source = SettingsSource.Complete().Option("AsOf", text);
        AssertOne(source.ReadErrors(), "a time with its zone");
    }

    [Fact]
    public void A_socket_alone_replaces_TCP_and_both_serve_both()
    {
        using SettingsSource source = SettingsSource.Complete().Option("Socket", "nbd.sock");
        ServeSettings socketOnly = source.Read();
        Assert.Null(socketOnly.Listen);
        Assert.Equal(Path.Combine(source.WorkingDirectory, "nbd.sock"), socketOnly.SocketPath);

        Assert.Equal(5, source.Option("Listen", "127.0.0.1:5").Read().Listen!.Port);
    }

    [Fact]
    public void A_socket_path_must_fit_the_operating_system()
    {
        using SettingsSource source = SettingsSource.Complete().Option("Socket", "/" + new string('x', 107));
        AssertOne(source.ReadErrors(), "a path of at most 107 bytes");
    }

    [Fact]
    public void Nothing_set_means_the_embedded_default()
    {
        using var source = new SettingsSource();
        ServeSettings settings = source.Read();
        string data = Path.Combine(source.WorkingDirectory, "zeroflow-data");

        Assert.Equal($"file://{data}/store", settings.StoreUrl);
        Assert.Equal(Path.Combine(data, "data"), settings.DataDirectory);
        Assert.Equal("127.0.0.1:10809", settings.Listen!.ToString());
        Assert.Equal("127.0.0.1:10810", settings.AdminListen!.ToString());
        Assert.Null(settings.SocketPath);
        Assert.Null(settings.Passphrase);
        Assert.Empty(settings.Exports);
        Assert.NotNull(settings.Embedded);
        Assert.False(Directory.Exists(data), "Reading a configuration must not change anything.");
    }

    private static void AssertOne(IReadOnlyList<string> errors, string part) =>
        Assert.Single(errors, error => error.Contains(part, StringComparison.Ordinal));
}
