using ZeroFlow.Host.Configuration;

namespace ZeroFlow.Host.Tests.Configuration;

public sealed class PassphraseTests
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    [Fact]
    public void The_file_of_the_command_line_beats_the_variable_which_beats_the_file_of_the_file()
    {
        using SettingsSource source = SettingsSource.Complete().Json("""{ "PassphraseFile": "low" }""");
        source.File("low", "low secret\n", Private);
        source.File("high", "high secret\r\n", Private);
        Assert.Equal("correct horse", source.Read().Passphrase!.Reveal());

        Assert.Equal("high secret", source.Option("PassphraseFile", "high").Read().Passphrase!.Reveal());
    }

    [Fact]
    public void Without_the_variable_the_file_of_the_file_is_used()
    {
        using SettingsSource source = new SettingsSource()
            .Json("""{ "PassphraseFile": "low", "Store": "file:///s", "Data": "/d" }""");
        source.File("low", " spaces count \n", Private);
        Assert.Equal(" spaces count ", source.Read().Passphrase!.Reveal());
    }

    [Fact]
    public void Two_variables_that_say_different_things_are_an_error()
    {
        using SettingsSource source = SettingsSource.Complete().Variable("ZEROFLOW__PASSPHRASEFILE", "low");
        Assert.StartsWith("Both ZEROFLOW_PASSPHRASE and", Assert.Single(source.ReadErrors()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.OtherWrite)]
    public void A_file_that_others_can_read_or_write_is_refused(UnixFileMode extra)
    {
        using SettingsSource source = SettingsSource.Complete();
        string path = source.File("open", "hunter2\n", Private | extra);
        string error = Assert.Single(source.Option("PassphraseFile", "open").ReadErrors());
        Assert.Contains($"chmod 600 {path}", error, StringComparison.Ordinal);
        Assert.DoesNotContain("hunter2", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_or_empty_file_is_one_clear_sentence()
    {
        using SettingsSource missing = SettingsSource.Complete().Option("PassphraseFile", "nowhere");
        Assert.EndsWith("nowhere does not exist.", Assert.Single(missing.ReadErrors()), StringComparison.Ordinal);

        using SettingsSource empty = SettingsSource.Complete().Option("PassphraseFile", "empty");
        empty.File("empty", "\n", Private);
        Assert.EndsWith("empty is empty.", Assert.Single(empty.ReadErrors()), StringComparison.Ordinal);
    }

    [Fact]
    public void An_empty_variable_is_an_error()
    {
        using SettingsSource source = SettingsSource.Complete().Variable("ZEROFLOW_PASSPHRASE", "");
        Assert.EndsWith("is empty.", Assert.Single(source.ReadErrors()), StringComparison.Ordinal);
    }

    [Fact]
    public void No_printed_form_of_the_settings_shows_the_passphrase()
    {
        using SettingsSource source = SettingsSource.Complete();
        ServeSettings settings = source.Read();
        Assert.DoesNotContain("correct horse", settings.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("correct horse", $"{settings.Passphrase}", StringComparison.Ordinal);
        Assert.DoesNotContain(
            "correct horse", System.Text.Json.JsonSerializer.Serialize(settings.Passphrase), StringComparison.Ordinal);
        Assert.Equal("Key (--set)", new Setting("Key", "correct horse", "--set").ToString());
    }
}
