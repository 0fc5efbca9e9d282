using ZeroFlow.Host.Configuration;

namespace ZeroFlow.Host.Tests.Configuration;

public sealed class EmbeddedDefaultTests : IDisposable
{
    private readonly TempDirectory _directory = new();

    private EmbeddedDefault Embedded => new(_directory.Path);

    [Fact]
    public void The_first_use_makes_directories_and_a_passphrase_for_the_owner_only()
    {
        string passphrase = Embedded.Prepare(given: null).Reveal();

        Assert.Equal(43, passphrase.Length); // 32 random bytes in base64url
        const UnixFileMode ownerFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        Assert.Equal(ownerFile, File.GetUnixFileMode(Embedded.PassphraseFile));
        foreach (string made in (string[])[Embedded.BaseDirectory, Embedded.StoreDirectory, Embedded.DataDirectory])
            Assert.Equal(ownerFile | UnixFileMode.UserExecute, File.GetUnixFileMode(made));
        Assert.Equal(
            ["data", "passphrase", "store"],
            Directory.EnumerateFileSystemEntries(Embedded.BaseDirectory).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void A_later_use_finds_the_same_passphrase_and_another_directory_gets_another()
    {
        string first = Embedded.Prepare(given: null).Reveal();
        Assert.Equal(first, Embedded.Prepare(given: null).Reveal());

        using var elsewhere = new TempDirectory();
        Assert.NotEqual(first, new EmbeddedDefault(elsewhere.Path).Prepare(given: null).Reveal());
    }

    [Fact]
    public void A_given_passphrase_is_used_and_none_is_written()
    {
        Assert.Equal("mine", Embedded.Prepare(new Secret("mine")).Reveal());
        Assert.False(File.Exists(Embedded.PassphraseFile));
    }

    // A new passphrase beside an old store would read like "wrong passphrase" and hide what was lost.
    [Fact]
    public void A_lost_passphrase_is_not_replaced_while_the_store_has_content()
    {
        Embedded.Prepare(given: null);
        File.Delete(Embedded.PassphraseFile);
        File.WriteAllText(Path.Combine(Embedded.StoreDirectory, "object"), "x");

        IOException fault = Assert.Throws<IOException>(() => Embedded.Prepare(given: null));

        Assert.Contains("is missing, but", fault.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Embedded.PassphraseFile));
    }

    [Fact]
    public void A_crash_before_the_passphrase_was_complete_leaves_nothing_that_counts()
    {
        Directory.CreateDirectory(Embedded.BaseDirectory);
        File.WriteAllText(Embedded.PassphraseFile + ".new", "ha");

        string passphrase = Embedded.Prepare(given: null).Reveal();

        Assert.Equal(43, passphrase.Length);
        Assert.False(File.Exists(Embedded.PassphraseFile + ".new"));
    }

    [Fact]
    public void A_directory_with_spaces_is_a_valid_store_url()
    {
        var embedded = new EmbeddedDefault(Path.Combine(_directory.Path, "my disk"));
        Assert.True(StoreUrl.TryCheck(embedded.StoreUrl, out _));
        Assert.Equal(embedded.StoreDirectory, new Uri(embedded.StoreUrl).LocalPath);
    }

    public void Dispose() => _directory.Dispose();
}
