using ZeroFlow.Host.Control;
using ZeroFlow.Host.Tests.Configuration;

namespace ZeroFlow.Host.Tests.Control;

public sealed class AdminTokenTests : IDisposable
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly TempDirectory _directory = new();

    private string Token => Path.Combine(_directory.Path, "token");

    [Fact]
    public void The_token_is_in_the_data_directory_unless_a_file_is_named()
    {
        using SettingsSource source = SettingsSource.Complete();
        Assert.Equal("/srv/data/admin.token", source.Read().AdminTokenFile);
        Assert.Equal("/run/token", source.Json("""{ "Admin": { "TokenFile": "/run/token" } }""").Read().AdminTokenFile);
        Assert.Equal(Path.Combine(source.WorkingDirectory, "here"), source.Option("Admin:TokenFile", "here").Read().AdminTokenFile);
        using SettingsSource empty = SettingsSource.Complete().Option("Admin:TokenFile", "");
        Assert.Contains("must be a file", Assert.Single(empty.ReadErrors()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_or_empty_file_is_made_for_its_owner_alone()
    {
        var made = AdminToken.ReadOrCreate(Token);
        Assert.Equal(Private, File.GetUnixFileMode(Token));
        Assert.True(made.Matches(AdminToken.Read(Token)!));
        Assert.True(AdminToken.ReadOrCreate(Token).Matches(AdminToken.Read(Token)!));
        _directory.Write("token", "\n", Private);
        Assert.False(AdminToken.ReadOrCreate(Token).Matches(""));
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.OtherWrite)]
    public void A_file_that_others_can_read_or_write_is_refused_and_stays(UnixFileMode extra)
    {
        _directory.Write("token", "hunter2\n", Private | extra);
        string error = Assert.Throws<IOException>(() => AdminToken.ReadOrCreate(Token)).Message;
        Assert.Equal($"The admin token {Token} can be read or written by others; allow only its owner: chmod 600 {Token}", error);
        Assert.Equal("hunter2\n", File.ReadAllText(Token));
    }

    // Mounted secrets are links: what counts is the file behind them.
    [Fact]
    public void Behind_a_link_the_file_itself_counts()
    {
        string behind = _directory.Write("behind", "hunter2\n", Private);
        File.CreateSymbolicLink(Token, behind);
        Assert.True(AdminToken.ReadOrCreate(Token).Matches("hunter2"));
        File.SetUnixFileMode(behind, Private | UnixFileMode.OtherRead);
        Assert.Throws<IOException>(() => AdminToken.ReadOrCreate(Token));
    }

    [Fact]
    public void A_file_that_cannot_be_made_is_one_clear_sentence()
    {
        string path = Path.Combine(_directory.Path, "missing", "token");
        string error = Assert.Throws<IOException>(() => AdminToken.ReadOrCreate(path)).Message;
        Assert.StartsWith($"The admin token {path} cannot be made: ", error, StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Dispose();
}
