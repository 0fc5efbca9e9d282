using System.Text.Json;
using System.Text.Json.Serialization;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Control;

/// <summary>An export or snapshot, as the control API shows it.</summary>
internal sealed record ExportView(
    string Name, long SizeBytes, int ChunkBytes, DurabilityLevel Level, bool ReadOnly, string Description, int Attached,
    string? SnapshotOf, DateTimeOffset? CreatedAt, bool WriteThrough, IReadOnlyList<string>? FormerNames,
    int? Compression);

/// <summary>All exports and snapshots.</summary>
internal sealed record ExportList(IReadOnlyList<ExportView> Exports);

/// <summary>What to make: an empty export of a size, or a clone of a snapshot.</summary>
internal sealed record CreateRequest(
    long? SizeBytes = null, DurabilityLevel? Level = null, string? CloneOf = null, int? ChunkBytes = null,
    int? Compression = null);

/// <summary>What to change; what is left out stays.</summary>
internal sealed record AlterRequest(
    string? Name = null, long? SizeBytes = null, bool AllowShrink = false, DurabilityLevel? Level = null,
    bool? ReadOnly = null, string? Description = null, bool? WriteThrough = null, int? Compression = null);

/// <summary>A snapshot of some exports, or of all, at one point.</summary>
internal sealed record SnapshotRequest([property: JsonRequired] string Name, IReadOnlyList<string>? Exports = null);

/// <summary>A range to make zeros of.</summary>
internal sealed record ZeroRequest(long Offset, long Length);

/// <summary>A run of data or of zeros that take no space.</summary>
internal sealed record ExtentView(long Offset, long Length, bool Hole);

/// <summary>Runs in order, from the offset asked for; the next question begins where they end.</summary>
internal sealed record ExtentList(IReadOnlyList<ExtentView> Extents);

/// <summary>The store now.</summary>
internal sealed record StatusView(
    string Phase, bool Fenced, string? Fault, bool BucketReachable, string? BucketError, long DirtyBytes,
    double OldestUnpublishedSeconds, uint Epoch, ulong LastTable, long LiveBytes, long TableBytes, long MapBytes,
    long SettledBytes, int WaitingObjects);

/// <summary>What to scrub.</summary>
internal sealed record ScrubRequest(double Share = 1, bool Repair = false);

/// <summary>A line of the answer to a scrub: how far it is, or, at the end, what it found or why it ended.</summary>
internal sealed record ScrubLine(ScrubProgress? Progress = null, ScrubReport? Report = null, Problem? Problem = null);

/// <summary>A request to the object store, as it is traced.</summary>
internal sealed record RequestView(
    DateTimeOffset Time, ObjectRequestKind Kind, ObjectPurpose Purpose, string Key, long Offset, long Bytes, double Seconds, int Attempt,
    string Outcome, string? Error);

/// <summary>A line of the answer to a trace: a request, or how many were lost because nobody read in time.</summary>
internal sealed record TraceLine(RequestView? Request = null, long? Lost = null);

/// <summary>
/// An error, as RFC 9457 has it; when it is the engine's, with its kind, because one status stands for several kinds.
/// </summary>
internal sealed record Problem(string Type, string Title, int Status, string Detail, FaultKind? Fault = null);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    Converters =
    [
        typeof(LevelConverter), typeof(ScrubProblemConverter), typeof(FaultKindConverter), typeof(RequestKindConverter),
        typeof(PurposeConverter), typeof(RebuildOutcomeConverter), typeof(CheckpointHealthConverter),
    ])]
[JsonSerializable(typeof(ExportView))]
[JsonSerializable(typeof(ExportList))]
[JsonSerializable(typeof(CreateRequest))]
[JsonSerializable(typeof(AlterRequest))]
[JsonSerializable(typeof(SnapshotRequest))]
[JsonSerializable(typeof(ZeroRequest))]
[JsonSerializable(typeof(ExtentList))]
[JsonSerializable(typeof(StatusView))]
[JsonSerializable(typeof(ScrubRequest))]
[JsonSerializable(typeof(ScrubLine))]
[JsonSerializable(typeof(TraceLine))]
[JsonSerializable(typeof(RebuildReport))]
[JsonSerializable(typeof(Problem))]
internal sealed partial class ControlJson : JsonSerializerContext;

/// <summary>Problems by their names.</summary>
internal sealed class ScrubProblemConverter() : JsonStringEnumConverter<ScrubProblem>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);

/// <summary>Kinds of requests by their names.</summary>
internal sealed class RequestKindConverter() : JsonStringEnumConverter<ObjectRequestKind>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);

/// <summary>Purposes by their names.</summary>
internal sealed class PurposeConverter() : JsonStringEnumConverter<ObjectPurpose>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);

/// <summary>Outcomes by their names.</summary>
internal sealed class RebuildOutcomeConverter() : JsonStringEnumConverter<RebuildOutcome>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);

/// <summary>States of checkpoints by their names.</summary>
internal sealed class CheckpointHealthConverter() : JsonStringEnumConverter<CheckpointHealth>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);

/// <summary>Kinds of faults by their names.</summary>
internal sealed class FaultKindConverter() : JsonStringEnumConverter<FaultKind>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);

/// <summary>Levels by the names that the command line has for them.</summary>
internal sealed class LevelConverter() : JsonStringEnumConverter<DurabilityLevel>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);
